"""Take secrets out of text that is going to be logged, stored or shown.

A net under the rule that no secret gets into such text in the first place.
"""

import re
from collections.abc import Iterable

MASK = "***"
SECRET_CHARS_MIN = 4
_KEYS = re.compile(
    r"""
    \b(?:sk-|gsk_|xai-|AIza|whsec_|ovn_)[\w*+/=.-]{4,}         # keys by their prefix
    | (?P<scheme>\b(?:bearer|basic)\s+)[\w*+/=.~-]{4,}         # an Authorization header
    | (?P<name>\b(?:\w*[_-])?(?:key|token|secret|password)=)[^\s&"'<>]+  # a query or a form
    """,
    re.IGNORECASE | re.VERBOSE | re.ASCII,
)


def redact(text: str, secrets: Iterable[str] = ()) -> str:
    """The text with `***` for every given secret, and for whatever looks like a key."""
    for secret in secrets:
        if len(secret) >= SECRET_CHARS_MIN:
            text = text.replace(secret, MASK)
    return _KEYS.sub(_mask, text)


def _mask(match: re.Match[str]) -> str:
    return (match["scheme"] or match["name"] or "") + MASK
