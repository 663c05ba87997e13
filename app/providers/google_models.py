"""What Google's model families take through the Gemini API.

From ai.google.dev/gemini-api/docs (generateContent, thinking, function calling, structured output,
image understanding) and the types of google-genai (3.4.0). Images are sent in the request: a URL
would have to be fetched, or be a file of Google's own.
"""

from dataclasses import replace
from typing import Any

from app.providers.taken import SAMPLING, Images, Table, Taken

_LEVELS = frozenset({"low", "medium", "high"})
_WITH_MINIMAL = _LEVELS | {"minimal"}

_ANY = Taken(efforts=_WITH_MINIMAL, thinks=True, stops_max=5, images=Images.DATA)
_UNSAMPLED = replace(_ANY, refused=SAMPLING)
_OLD = replace(_ANY, efforts=frozenset(), thinks=False, tools_or_format=True)
_TWO_FIVE = replace(_ANY, efforts=_WITH_MINIMAL | {"none"}, tools_or_format=True)

MODELS = Table(
    _ANY,
    [
        ("gemini-1", _OLD),
        ("gemini-2.0", _OLD),
        ("gemini-2.5-flash-image", _OLD),
        ("gemini-2.5-pro", replace(_TWO_FIVE, efforts=_WITH_MINIMAL)),
        ("gemini-2.5", _TWO_FIVE),
        ("gemini-3-pro", replace(_ANY, efforts=frozenset({"low", "high"}))),
        ("gemini-3.1-pro", replace(_ANY, efforts=_LEVELS)),
        ("gemini-3.5-flash-lite", _UNSAMPLED),
        ("gemini-3.6-flash", _UNSAMPLED),
        ("gemini-3.7-flash", replace(_UNSAMPLED, efforts=_LEVELS)),
        ("gemini-3.8-flash", replace(_UNSAMPLED, efforts=_LEVELS)),
        ("gemini-4", replace(_ANY, efforts=_LEVELS)),
        ("gemma-4", replace(_ANY, efforts=None)),
        ("gemma", replace(_OLD, formats=frozenset({"text"}))),
    ],
)

#: In tokens, as Google's own compatibility layer translates efforts
#: (ai.google.dev/gemini-api/docs/openai, Thinking).
_BUDGETS = {"none": 0, "minimal": 1024, "low": 1024, "medium": 8192, "high": 24_576}


def thinking_for(effort: str, model: str) -> dict[str, Any]:
    """The `thinkingConfig` for an effort: a budget for Gemini 2.5, a level for what came after."""
    if not model.startswith("gemini-2.5"):
        return {"thinkingLevel": effort.upper(), "includeThoughts": True}
    budget = _BUDGETS[effort]
    return {"thinkingBudget": budget, "includeThoughts": True} if budget else {"thinkingBudget": 0}
