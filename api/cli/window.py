"""The hours in which a sweep may run: `22:00-06:00 Europe/Berlin`."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from api.cli.failure import ExitCode, Failure

_WINDOW = re.compile(r"(\d{1,2}:\d{2})\s*-\s*(\d{1,2}:\d{2})\s+(\S+)")


@dataclass(frozen=True, slots=True)
class Hours:
    """When to begin and when to be done, in UTC; `begins` is None for now."""

    begins: datetime | None
    ends: datetime


def next_hours(window: str, now: datetime) -> Hours:
    """The window that is open now, else the next one.

    Local times that a change of the clocks skips or repeats are the first moment that can be
    meant.

    Raises:
        Failure: it is no such window.
    """
    found = _WINDOW.fullmatch(window.strip())
    if found is None:
        raise _wrong("write it as 22:00-06:00 Europe/Berlin")
    try:
        opens, closes = (time.fromisoformat(f"{one:0>5}") for one in found.group(1, 2))
    except ValueError:
        raise _wrong("a day has the hours 00:00 to 23:59") from None
    if opens == closes:
        raise _wrong("it ends when it begins")
    try:
        zone = ZoneInfo(found.group(3))
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise _wrong(f"there is no time zone {found.group(3)[:64]!r}") from None
    today = now.astimezone(zone).date()
    for days in (-1, 0, 1, 2):
        day = today + timedelta(days=days)
        last = day if opens < closes else day + timedelta(days=1)
        begins = datetime.combine(day, opens, zone).astimezone(UTC)
        ends = datetime.combine(last, closes, zone).astimezone(UTC)
        if begins < ends and now < ends:
            return Hours(None if begins <= now else begins, ends)
    raise AssertionError  # there is one every day, and clocks change by hours


def _wrong(why: str) -> Failure:
    return Failure(f"window: {why}", ExitCode.USAGE)
