"""What a provider's headers say of its limits, and how long a refusal asks us to wait.

The vendors' flavours, by their API references: OpenAI, Groq and most that imitate them tell a reset
as a Go duration (`6m0s`, `500ms`), Azure OpenAI as whole seconds, Anthropic as an RFC 3339 moment.
Google tells nothing in headers: its RetryInfo is in the body (see `google_answer`).
"""

import math
import re
from collections.abc import Mapping
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import NamedTuple

from app.domain.clock import utc_now
from app.domain.told import ToldLimits, ToldRate
from app.providers.base import RETRY_AFTER_MAX_S, parse_retry_after

_Names = tuple[str, str, str]


class _Flavour(NamedTuple):
    """The names of limit, remaining and reset; tokens may be told together, or apart."""

    requests: _Names
    all_tokens: tuple[_Names, ...]
    some_tokens: tuple[_Names, ...] = ()


def _names(pattern: str, what: str) -> _Names:
    limit, remaining, reset = (
        pattern.format(field=field, what=what) for field in ("limit", "remaining", "reset")
    )
    return limit, remaining, reset


_OPENAI, _ANTHROPIC = "x-ratelimit-{field}-{what}", "anthropic-ratelimit-{what}-{field}"
_FLAVOURS = (
    _Flavour(_names(_OPENAI, "requests"), (_names(_OPENAI, "tokens"),)),
    _Flavour(
        _names(_ANTHROPIC, "requests"),
        (_names(_ANTHROPIC, "tokens"),),
        (_names(_ANTHROPIC, "input-tokens"), _names(_ANTHROPIC, "output-tokens")),
    ),
)
#: Most answers have none of these, which is seen at once.
_HEADERS = frozenset(
    name
    for flavour in _FLAVOURS
    for names in (flavour.requests, *flavour.all_tokens, *flavour.some_tokens)
    for name in names
)
_GO = re.compile(
    r"(?:(?P<h>\d+(?:\.\d+)?)h)?(?:(?P<m>\d+(?:\.\d+)?)m(?!s))?"
    r"(?:(?P<s>\d+(?:\.\d+)?)s)?(?:(?P<ms>\d+(?:\.\d+)?)ms)?"
)
_GO_S = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}
_COUNT_CHARS_MAX = 18


def limits_told(headers: Mapping[str, str]) -> ToldLimits | None:
    """The limits that an answer's headers tell; None if they tell none."""
    if _HEADERS.isdisjoint(headers):
        return None
    for names in _FLAVOURS:
        requests = _rate(headers, names.requests)
        tokens = _rates(headers, names.all_tokens) or _rates(headers, names.some_tokens)
        if requests or tokens:
            return ToldLimits(requests or ToldRate(), tokens)
    return None


def wait_told(headers: Mapping[str, str]) -> float | None:
    """How long a refusal for its rate asks us to wait, from 0 s to a day; None if it does not say.

    `Retry-After` is a floor. Of several resets the largest counts, among the limits that are
    spent; where none is said to be spent, and there is no `Retry-After`, among all.
    """
    floor_s, told = parse_retry_after(headers), limits_told(headers)
    rates = () if told is None else told.rates
    spent = [rate.reset_s for rate in rates if rate.is_spent and rate.reset_s is not None]
    if not spent and floor_s is None:
        spent = [rate.reset_s for rate in rates if rate.reset_s is not None]
    waits = spent if floor_s is None else [floor_s, *spent]
    return max(waits, default=None)


def reset_s(text: str, sent: str = "") -> float | None:
    """Seconds from an answer until a reset, from 0 to a day; None if that cannot be read.

    Args:
        text: a Go duration, a number of seconds, or an RFC 3339 moment.
        sent: the answer's own `Date`, so that their clock need not be ours.
    """
    text = text.strip()
    seconds = _number_s(text)
    if seconds is None:
        seconds = _go_s(text)
    if seconds is None:
        seconds = _moment_s(text, sent)
    return None if seconds is None else min(max(seconds, 0.0), RETRY_AFTER_MAX_S)


def _rates(headers: Mapping[str, str], names: tuple[_Names, ...]) -> tuple[ToldRate, ...]:
    found = (_rate(headers, one) for one in names)
    return tuple(rate for rate in found if rate is not None)


def _rate(headers: Mapping[str, str], names: _Names) -> ToldRate | None:
    limit, remaining, reset = map(headers.get, names)
    if limit is None and remaining is None and reset is None:
        return None
    when = None if reset is None else reset_s(reset, headers.get("date", ""))
    return ToldRate(_count(limit), _count(remaining), when)


def _count(text: str | None) -> int | None:
    digits = (text or "").strip()
    if not digits.isascii() or not digits.isdigit() or len(digits) > _COUNT_CHARS_MAX:
        return None
    return int(digits)


def _number_s(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _go_s(text: str) -> float | None:
    found = _GO.fullmatch(text)
    if not text or found is None:
        return None
    return sum(float(value) * _GO_S[unit] for unit, value in found.groupdict("0").items())


def _moment_s(text: str, sent: str) -> float | None:
    try:
        end = datetime.fromisoformat(text)
        wait: timedelta = end - (parsedate_to_datetime(sent) if sent else utc_now())
    except (ValueError, TypeError, OverflowError):
        return None
    return wait.total_seconds()
