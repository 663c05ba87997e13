"""Moments and spans as clients write them."""

import re
from datetime import UTC, datetime, timedelta

from app.domain.errors import InvalidRequestError

_SPAN = re.compile(r"^(\d{1,6})(m|h|d)$")
_SPANS = {"m": timedelta(minutes=1), "h": timedelta(hours=1), "d": timedelta(days=1)}
_START_MAX = timedelta(days=366)


def read_start(given: datetime | None, now: datetime) -> datetime | None:
    """A start in UTC; None for at once.

    Raises:
        InvalidRequestError: it is too far away.
    """
    starts = None if given is None else in_utc(given, "not_before")
    if starts is not None and starts > now + _START_MAX:
        raise InvalidRequestError("not_before: is more than a year away", param="not_before")
    return starts


def read_deadline(text: str | None, starts: datetime) -> datetime | None:
    """A deadline from a span after the start, such as `24h`, or a moment with its time zone.

    Raises:
        InvalidRequestError: it is neither, or passed before the start.
    """
    if text is None:
        return None
    span = _SPAN.match(text)
    problem = "deadline: give a span such as 30m, 24h or 7d, or a moment with its time zone"
    try:
        deadline = (
            starts + int(span.group(1)) * _SPANS[span.group(2)]
            if span
            else datetime.fromisoformat(text)
        )
    except (ValueError, OverflowError):
        raise InvalidRequestError(problem, param="deadline") from None
    if deadline.tzinfo is None:
        raise InvalidRequestError(problem, param="deadline")
    deadline = in_utc(deadline, "deadline")
    if deadline <= starts:
        raise InvalidRequestError("deadline: is not after the start", param="deadline")
    return deadline


def in_utc(moment: datetime, field: str) -> datetime:
    """The moment in UTC.

    Raises:
        InvalidRequestError: at the ends of the calendar there may be none.
    """
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        raise InvalidRequestError(
            f"{field}: is no moment that can be counted", param=field
        ) from None
