"""What OpenAI's model families take, in Chat Completions and in Responses.

From OpenAI's model pages and guides (developers.openai.com/api/docs/models,
…/guides/reasoning, …/guides/latest-model) and its API reference. Reasoning models refuse to be
sampled otherwise than they are, unless reasoning is off; o3, o4-mini and all after them take no
`stop`.
"""

import re
from dataclasses import replace

from app.domain.prompt import Params
from app.providers.taken import SAMPLING, TOOLS, Table, Taken

_STOP = frozenset({"stop"})
_LOW_TO_HIGH = frozenset({"low", "medium", "high"})
_WITH_NONE = frozenset({"none", "low", "medium", "high", "xhigh"})
_WITH_XHIGH = frozenset({"low", "medium", "high", "xhigh"})

_PLAIN = Taken(efforts=frozenset(), stops_max=4)
_O_SERIES = Taken(refused=SAMPLING, efforts=_LOW_TO_HIGH, stops_max=4)
#: They reason unless told not to, and then cannot be sampled.
_THINKING = Taken(refused=_STOP, thinks=True, refused_thinking=SAMPLING, efforts=_WITH_NONE)
#: The same, but they reason only if told to.
_ON_REQUEST = replace(_THINKING, thinks=False)
_ALWAYS = Taken(refused=SAMPLING | _STOP, thinks=True, efforts=_WITH_XHIGH)
_SEARCH = Taken(refused=SAMPLING | TOOLS | _STOP | {"seed"}, efforts=frozenset())

CHAT = Table(
    _PLAIN,
    [
        ("o1", _O_SERIES),
        ("o3-mini", replace(_O_SERIES, refused=SAMPLING | _STOP)),
        ("o3", replace(_O_SERIES, refused=SAMPLING | _STOP)),
        ("o4-mini", replace(_O_SERIES, refused=SAMPLING | _STOP)),
        ("gpt-6-astra", _ALWAYS),
        ("gpt-6.1-sol", _ALWAYS),
        ("gpt-6", _THINKING),
        ("gpt-5.6", _THINKING),
        ("gpt-5.5", _THINKING),
        ("gpt-5.4", _ON_REQUEST),
        ("gpt-5.3-chat", replace(_ALWAYS, efforts=frozenset({"medium"}))),
        ("gpt-5.3", _ON_REQUEST),
        ("gpt-5.2-chat", replace(_ALWAYS, efforts=frozenset({"medium"}))),
        ("gpt-5.2", _ON_REQUEST),
        ("gpt-5.1-chat", replace(_ALWAYS, efforts=frozenset({"medium"}))),
        ("gpt-5.1", replace(_ON_REQUEST, efforts=_LOW_TO_HIGH | {"none"})),
        ("gpt-5-chat", _PLAIN),
        ("gpt-5-search", _SEARCH),
        ("gpt-5", replace(_ALWAYS, efforts=_LOW_TO_HIGH | {"minimal"})),
        ("gpt-4o-search", _SEARCH),
        ("gpt-4o-mini-search", _SEARCH),
    ],
)

#: Responses has neither `stop` nor `seed` (`openai.types.responses.response_create_params`).
_NOT_IN_RESPONSES = frozenset({"seed", "stop"})
_RESPONSES = Taken(refused=_NOT_IN_RESPONSES)
_REASONS_ONLY = Taken(refused=SAMPLING | _NOT_IN_RESPONSES, thinks=True)
_MAX = Taken(
    refused=_NOT_IN_RESPONSES,
    thinks=True,
    refused_thinking=SAMPLING,
    efforts=_WITH_NONE | {"max"},
)
_PRO = replace(_REASONS_ONLY, efforts=frozenset({"medium", "high", "xhigh"}))

RESPONSES = Table(
    _RESPONSES,
    [
        ("o1-pro", replace(_REASONS_ONLY, efforts=_LOW_TO_HIGH)),
        ("o3-pro", replace(_REASONS_ONLY, efforts=_LOW_TO_HIGH)),
        ("o3-deep-research", replace(_REASONS_ONLY, efforts=frozenset({"medium"}))),
        ("o4-mini-deep-research", replace(_REASONS_ONLY, efforts=frozenset({"medium"}))),
        ("gpt-5-pro", replace(_REASONS_ONLY, efforts=frozenset({"high"}))),
        *((f"gpt-5.{minor}-pro", _PRO) for minor in (2, 4, 5)),
        ("gpt-5.3-codex", replace(_MAX, thinks=False, efforts=_WITH_NONE)),
        ("gpt-5-codex", _REASONS_ONLY),
        ("gpt-5.1-codex", _REASONS_ONLY),
        ("gpt-5.2-codex", _REASONS_ONLY),
        ("gpt-6-astra", replace(_REASONS_ONLY, efforts=_WITH_XHIGH | {"max"})),
        ("gpt-6.1-sol", replace(_REASONS_ONLY, efforts=_WITH_XHIGH | {"max"})),
        ("gpt-6", _MAX),
        ("gpt-5.6", _MAX),
        ("gpt-5.5", replace(_MAX, efforts=_WITH_NONE)),
        ("gpt-5.4", replace(_MAX, thinks=False, efforts=_WITH_NONE)),
    ],
)

#: Models that are served by Responses alone; whatever an account calls its tuned ones (`ft:`).
_RESPONSES_ONLY = re.compile(
    r"(?!ft:)(?:codex-|computer-use|gpt-daybreak|.*-(?:pro|codex|deep-research)(?:-|$))"
)
#: From these on, Chat Completions refuses functions while the model reasons.
_NO_TOOLS_IN_CHAT = ("gpt-5.4", "gpt-5.5", "gpt-5.6", "gpt-6")


def needs_responses(params: Params, model: str) -> bool:
    """Whether a call has to go through Responses, because Chat Completions would refuse it."""
    if _RESPONSES_ONLY.match(model):
        return True
    if not model.startswith(_NO_TOOLS_IN_CHAT):
        return False
    if params.reasoning_effort == "max":
        return True
    return bool(params.tools) and CHAT.of(model).is_thinking(params)
