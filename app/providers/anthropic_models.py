"""What Anthropic's model families take.

From Anthropic's documentation (platform.claude.com/docs: models overview, thinking, effort,
structured outputs, tool use) and the types of its client (2.12.0). No model takes a seed or JSON
without a schema.
"""

from dataclasses import replace

from app.providers.taken import CHOICES, SAMPLING, Table, Taken

_SEED = frozenset({"seed"})
_SCHEMA = frozenset({"json_schema", "text"})
_LOW_TO_HIGH = frozenset({"low", "medium", "high"})
_EFFORTS = _LOW_TO_HIGH | {"xhigh", "max"}
_UNFORCED = CHOICES - {"function", "required"}

#: A model that no row knows is taken for a new one, and Anthropic judges how it is sampled.
_ANY = Taken(
    refused=_SEED,
    efforts=_EFFORTS,
    formats=_SCHEMA,
    temperature_max=1.0,
    image_types=frozenset({"image/gif", "image/jpeg", "image/png", "image/webp"}),
)
#: Up to Claude 4: neither schemas nor efforts.
_FIRST = replace(_ANY, efforts=frozenset(), formats=frozenset({"text"}))
#: Temperature or top_p, since Opus 4.1.
_FOUR = replace(_ANY, efforts=frozenset(), one_sampler=True)
_FOUR_SIX = replace(_FOUR, efforts=_LOW_TO_HIGH | {"none", "max"}, refused_thinking=SAMPLING)
_UNSAMPLED = replace(_ANY, refused=_SEED | SAMPLING, efforts=_EFFORTS | {"none"})
_THINKS = replace(_UNSAMPLED, thinks=True)
_ALWAYS = replace(_THINKS, efforts=_EFFORTS)

MODELS = Table(
    _ANY,
    [
        ("claude-2", _FIRST),
        ("claude-3", _FIRST),
        ("claude-4-", _FIRST),
        ("claude-sonnet-4-0", _FIRST),
        ("claude-sonnet-4-2", _FIRST),
        ("claude-opus-4-0", _FIRST),
        ("claude-opus-4-2", _FIRST),
        ("claude-opus-4-1", _FOUR),
        ("claude-haiku-4-5", _FOUR),
        ("claude-sonnet-4-5", _FOUR),
        ("claude-opus-4-5", replace(_FOUR, efforts=_LOW_TO_HIGH)),
        ("claude-sonnet-4-6", _FOUR_SIX),
        ("claude-opus-4-6", _FOUR_SIX),
        ("claude-opus-4-7", _UNSAMPLED),
        ("claude-opus-4-8", _UNSAMPLED),
        ("claude-opus-5-5", replace(_ALWAYS, choices=_UNFORCED)),
        ("claude-opus-5", _THINKS),
        ("claude-sonnet-5-5", replace(_THINKS, choices=_UNFORCED)),
        ("claude-sonnet-5", _THINKS),
        ("claude-haiku-5-5", _THINKS),
        ("claude-fable-5-1", replace(_ALWAYS, choices=_UNFORCED)),
        ("claude-fable-5-2", replace(_ALWAYS, choices=_UNFORCED)),
        ("claude-mythos-5-1", replace(_ALWAYS, choices=_UNFORCED)),
        ("claude-mythos-5-2", replace(_ALWAYS, choices=_UNFORCED)),
        ("claude-fable-5", _ALWAYS),
        ("claude-mythos", _ALWAYS),
    ],
)

#: They think only if told to, and then as much as the effort says.
_ADAPTIVE = ("claude-opus-4-6", "claude-opus-4-7", "claude-opus-4-8", "claude-sonnet-4-6")
_OFF_BETWEEN_TOOLS = "claude-sonnet-5-5"


def thinking_for(effort: str, model: str) -> dict[str, str] | None:
    """What `thinking` has to be for an effort; None where the model's own way fits it."""
    if effort != "none":
        return {"type": "adaptive"} if model.startswith(_ADAPTIVE) else None
    if not MODELS.of(model).thinks:
        return None
    return {"type": "between_tools" if model.startswith(_OFF_BETWEEN_TOOLS) else "disabled"}
