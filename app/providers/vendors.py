"""Vendors that speak OpenAI's Chat Completions: where they are, and what they take.

From each vendor's API reference, and from the types of its own client where it has one. A row
says what is known to be refused or ignored; the vendor itself judges everything else.
"""

from dataclasses import dataclass, replace
from typing import Any

from app.providers.openai import Dialect
from app.providers.openai_models import CHAT
from app.providers.taken import CHOICES, FORMATS, SAMPLING, TOOLS, Images, Table, Taken

_SEED = frozenset({"seed"})
_NO_EFFORT: frozenset[str] = frozenset()
_LOW_TO_HIGH = frozenset({"low", "medium", "high"})
_LOW_HIGH_MAX = frozenset({"low", "high", "max"})
_TEXT_OR_OBJECT = FORMATS - {"json_schema"}
_PLAIN = Taken()


@dataclass(frozen=True, slots=True)
class Vendor:
    """A vendor: its own base URL, and the dialect it speaks."""

    base_url: str
    dialect: Dialect


def _switched(effort: str) -> dict[str, Any]:
    """DeepSeek, Z.ai: thinking is a switch, and beside it an effort."""
    if effort == "none":
        return {"thinking": {"type": "disabled"}}
    return {"thinking": {"type": "enabled"}, "reasoning_effort": effort}


def _moonshot_effort(effort: str) -> dict[str, Any]:
    """Kimi has an effort, but refuses `none`, and has a switch for it."""
    return {"thinking": {"type": "disabled"}} if effort == "none" else {"reasoning_effort": effort}


def _qwen_effort(effort: str) -> dict[str, Any]:
    return {"enable_thinking": False} if effort == "none" else {"reasoning_effort": effort}


def _openrouter_effort(effort: str) -> dict[str, Any]:
    """One shape for every vendor behind it: openrouter.ai/docs, Reasoning Tokens."""
    return {"reasoning": {"effort": effort}}


# docs.x.ai, Reasoning: its reasoning models refuse `stop`; `none` is for Grok 4.3 alone.
_GROK = Taken(refused=frozenset({"stop"}), thinks=True, efforts=_LOW_TO_HIGH)
_GROK_4_3 = replace(_GROK, efforts=_LOW_TO_HIGH | {"none"})
_XAI = Table(
    _PLAIN,
    [
        ("grok-3-mini", replace(_GROK, efforts=frozenset({"low", "high", "none"}))),
        ("grok-4.20", replace(_PLAIN, efforts=_NO_EFFORT)),
        ("grok-4.3", _GROK_4_3),
        ("grok-latest", _GROK_4_3),
        ("grok-4.7", replace(_GROK, efforts=_LOW_TO_HIGH | {"xhigh"})),
        ("grok-4.", _GROK),
        ("grok-build", replace(_GROK, efforts=None)),
        ("grok-code", replace(_GROK, efforts=_NO_EFFORT)),
    ],
)
# api-docs.deepseek.com, Create Chat Completion and Thinking Mode: no seed, no JSON schema; while it
# thinks, sampling parameters are taken and have no effect.
_DEEPSEEK_ANY = Taken(
    refused=_SEED, efforts=_NO_EFFORT, formats=_TEXT_OR_OBJECT, stops_max=16, images=Images.NONE
)
_DEEPSEEK_THINKS = replace(
    _DEEPSEEK_ANY, thinks=True, refused_thinking=SAMPLING, efforts=_LOW_HIGH_MAX | {"none"}
)
_DEEPSEEK = Table(
    replace(_DEEPSEEK_ANY, efforts=None, images=Images.URLS),
    [
        ("deepseek-chat", _DEEPSEEK_ANY),
        (
            "deepseek-reasoner",
            replace(
                _DEEPSEEK_ANY,
                refused=_SEED | SAMPLING,
                thinks=True,
                choices=frozenset({"auto", "none"}),
            ),
        ),
        ("deepseek-v4-pro", _DEEPSEEK_THINKS),
        ("deepseek-v4", replace(_DEEPSEEK_THINKS, images=Images.URLS)),
        ("deepseek-flash", replace(_DEEPSEEK_THINKS, images=Images.URLS)),
    ],
)
# docs.mistral.ai/api; `mistralai.client.models.ChatCompletionRequest` has `random_seed`.
_MISTRAL = Table(
    Taken(temperature_max=1.5),
    [("codestral", Taken(temperature_max=1.5, efforts=_NO_EFFORT, images=Images.NONE))],
)
# `groq.types.chat.completion_create_params`, reasoning_effort.
_GROQ = Table(
    Taken(stops_max=4),
    [
        ("openai/gpt-oss", Taken(stops_max=4, thinks=True, efforts=_LOW_TO_HIGH)),
        ("qwen/qwen3.8", Taken(stops_max=4, thinks=True, efforts=_LOW_TO_HIGH | {"none"})),
        ("qwen/qwen3", Taken(stops_max=4, thinks=True, efforts=frozenset({"none"}))),
        ("llama", Taken(stops_max=4, efforts=_NO_EFFORT, images=Images.NONE)),
    ],
)
# inference-docs.cerebras.ai, Chat Completions and Reasoning.
_CEREBRAS_ANY = Taken(stops_max=4, temperature_max=1.5)
_CEREBRAS = Table(
    _CEREBRAS_ANY,
    [
        ("gpt-oss", replace(_CEREBRAS_ANY, thinks=True, efforts=_LOW_TO_HIGH, images=Images.NONE)),
        ("kimi-k3", replace(_CEREBRAS_ANY, thinks=True, efforts=_LOW_HIGH_MAX)),
        ("zai-glm-5.3", replace(_CEREBRAS_ANY, thinks=True, efforts=_LOW_HIGH_MAX)),
        ("llama", replace(_CEREBRAS_ANY, efforts=_NO_EFFORT, images=Images.NONE)),
    ],
)
# platform.moonshot.ai, Chat and Vision: images in base64 alone; its reasoning models have one
# temperature. No seed; `required` is no way to choose a tool.
_MOONSHOT_ANY = Taken(
    refused=_SEED,
    efforts=_NO_EFFORT,
    choices=CHOICES - {"required"},
    temperature_max=1.0,
    stops_max=5,
    images=Images.DATA,
)
_KIMI = replace(_MOONSHOT_ANY, refused=_SEED | SAMPLING, thinks=True, efforts=None)
_MOONSHOT = Table(
    _MOONSHOT_ANY,
    [
        ("kimi-k2.5", replace(_KIMI, efforts=_LOW_HIGH_MAX | {"none"})),
        ("kimi-k2.6", replace(_KIMI, efforts=_LOW_HIGH_MAX | {"none"})),
        ("kimi-k2.7", replace(_KIMI, efforts=_LOW_HIGH_MAX)),
        ("kimi-k2-thinking", replace(_KIMI, efforts=_NO_EFFORT)),
        ("kimi-k3", replace(_KIMI, efforts=_LOW_HIGH_MAX)),
    ],
)
# docs.z.ai, Chat Completion: one stop sequence, temperature up to 1, tools only by its own choice.
_ZAI_ANY = Taken(
    efforts=frozenset({"none"}),
    formats=_TEXT_OR_OBJECT,
    choices=frozenset({"auto"}),
    temperature_max=1.0,
    stops_max=1,
)
_ZAI = Table(
    _ZAI_ANY,
    [
        (
            "glm-5.2",
            replace(
                _ZAI_ANY, efforts=frozenset({"none", "minimal", "xhigh"}) | _LOW_TO_HIGH | {"max"}
            ),
        ),
        ("glm-5.3", replace(_ZAI_ANY, thinks=True, efforts=_LOW_HIGH_MAX, formats=FORMATS)),
        ("glm-5v", _ZAI_ANY),
        ("glm-4.5v", _ZAI_ANY),
        ("glm-4.6v", _ZAI_ANY),
        ("glm-4-", replace(_ZAI_ANY, efforts=_NO_EFFORT, images=Images.NONE)),
    ],
)
# docs.perplexity.ai, Sonar: what it searches decides, so there is no seed, no stop and no tool.
_SONAR = Taken(
    refused=_SEED | TOOLS | {"stop"},
    efforts=_NO_EFFORT,
    formats=frozenset({"json_schema", "text"}),
)
_PERPLEXITY = Table(
    _PLAIN,
    [
        ("sonar-deep", replace(_SONAR, efforts=_LOW_TO_HIGH | {"minimal"})),
        ("sonar-reasoning", replace(_SONAR, efforts=_LOW_TO_HIGH | {"minimal"})),
        ("sonar", _SONAR),
    ],
)
# docs.cohere.com/docs/compatibility-api: reasoning is on or off.
_COHERE_ANY = Taken(
    temperature_max=1.0, stops_max=5, efforts=_NO_EFFORT, choices=CHOICES - {"function"}
)
_COHERE = Table(
    _COHERE_ANY,
    [
        ("command-a-reasoning", replace(_COHERE_ANY, efforts=frozenset({"none", "high"}))),
        ("command-a-plus", replace(_COHERE_ANY, efforts=frozenset({"none", "high"}))),
    ],
)

OPENAI = Dialect(table=CHAT, tokens_field="max_completion_tokens", embeds=True)

VENDORS = {
    "arcee": Vendor("https://api.arcee.ai/api/v1", Dialect(table=Table(_PLAIN))),
    "cerebras": Vendor(
        "https://api.cerebras.ai/v1",
        Dialect(table=_CEREBRAS, tokens_field="max_completion_tokens"),
    ),
    "cohere": Vendor(
        "https://api.cohere.ai/compatibility/v1",
        Dialect(table=_COHERE, probe="https://api.cohere.com/v1/models?page_size=1", embeds=True),
    ),
    "deepseek": Vendor("https://api.deepseek.com", Dialect(table=_DEEPSEEK, effort=_switched)),
    "fireworks": Vendor(
        "https://api.fireworks.ai/inference/v1",
        Dialect(table=Table(Taken(stops_max=4)), embeds=True),
    ),
    "groq": Vendor(
        "https://api.groq.com/openai/v1",
        Dialect(table=_GROQ, tokens_field="max_completion_tokens"),
    ),
    "minimax": Vendor(
        "https://api.minimax.io/v1",
        Dialect(
            table=Table(Taken(refused=_SEED, temperature_max=1.0, efforts=_NO_EFFORT)),
            # Else its thoughts come inside the text: platform.minimax.io/docs, OpenAI API.
            always={"reasoning_split": True},
            words={"1008": "billing_error", "1026": "content_filter", "1027": "content_filter"},
            statuses=dict.fromkeys((1000, 1013, 1024, 1033), 500)
            | dict.fromkeys((1026, 1027, 2013), 400)
            | {1001: 504, 1002: 429, 1004: 401, 1008: 402, 1039: 429, 2049: 401},
        ),
    ),
    "mistral": Vendor(
        "https://api.mistral.ai/v1", Dialect(table=_MISTRAL, seed_field="random_seed", embeds=True)
    ),
    "moonshot": Vendor(
        "https://api.moonshot.ai/v1",
        Dialect(
            table=_MOONSHOT,
            effort=_moonshot_effort,
            words={"exceeded_current_quota_error": "insufficient_quota"},
        ),
    ),
    "nvidia": Vendor("https://integrate.api.nvidia.com/v1", Dialect(table=Table(_PLAIN))),
    "openrouter": Vendor(
        "https://openrouter.ai/api/v1",
        # Its list of models is open to all; this tells of the key that is asked with.
        Dialect(table=Table(_PLAIN), effort=_openrouter_effort, probe="/key", embeds=True),
    ),
    "perplexity": Vendor(
        "https://api.perplexity.ai",
        Dialect(table=_PERPLEXITY, probe="/async/chat/completions"),
    ),
    "qwen": Vendor(
        "https://dashscope-intl.aliyuncs.com/compatible-mode/v1",
        Dialect(
            table=Table(Taken(choices=CHOICES - {"required"})),
            effort=_qwen_effort,
            words={
                "Arrearage": "billing_error",
                "DataInspectionFailed": "content_filter",
                "data_inspection_failed": "content_filter",
                # A rate, though elsewhere it is the account: help.aliyun.com, error codes, 429.
                "insufficient_quota": "rate_limit_exceeded",
            },
        ),
    ),
    "together": Vendor("https://api.together.xyz/v1", Dialect(table=Table(_PLAIN), embeds=True)),
    "xai": Vendor("https://api.x.ai/v1", Dialect(table=_XAI)),
    "zai": Vendor(
        "https://api.z.ai/api/paas/v4",
        Dialect(
            table=_ZAI,
            effort=_switched,
            # docs.z.ai, error codes: 1302 to 1305 are limits, which 429 says already.
            words={
                "1110": "account_deactivated",
                "1112": "account_deactivated",
                "1113": "billing_error",
                "1261": "context_length_exceeded",
                "1301": "content_filter",
            },
        ),
    ),
}
