"""How commands show things: JSON for programs, tables and plain words for people.

What models wrote is shown without control characters, so that it cannot speak to a terminal.
"""

import json
import sys
from collections.abc import Iterable, Sequence
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from app.domain.money import nanos_to_dollars

_SHORT_CHARS = 72
#: Output that is no terminal has no width; nothing of a table is cut there.
_WIDE_COLUMNS = 200
_FOLLOWED_NANOS = 100_000
_MS_PER_S = 1000
_MINUTE_S = 60
_HOUR_S = 3600


def show_json(data: Any) -> None:
    """Print data as JSON."""
    print(json.dumps(data, indent=2, ensure_ascii=False))


def note(text: str) -> None:
    """Say something that is not the data: to the terminal, past a pipe."""
    print(text, file=sys.stderr)


def console(*, stderr: bool = False) -> Console:
    """Where tables and progress go."""
    made = Console(stderr=stderr, highlight=False, markup=False)
    return (
        made
        if made.is_terminal
        else Console(stderr=stderr, highlight=False, markup=False, width=_WIDE_COLUMNS)
    )


def show_table(
    columns: Sequence[str],
    rows: Iterable[Sequence[object]],
    *,
    title: str | None = None,
    right: Sequence[str] = (),
    whole: Sequence[str] = (),
) -> None:
    """Print a table; columns named in `right` are numbers, those in `whole` are never broken."""
    table = Table(
        box=SIMPLE_HEAD,
        show_edge=False,
        pad_edge=False,
        padding=(0, 1, 0, 0),  # eighty columns are not many
        title=title,
        title_justify="left",
        title_style="bold",
    )
    for column in columns:
        table.add_column(
            column,
            justify="right" if column in right else "left",
            no_wrap=column in right or column in whole,
            overflow="fold",
        )
    for row in rows:
        table.add_row(*(Text(cell(value)) for value in row))
    screen = console()
    screen.print(table)
    screen.print()


def cell(value: object) -> str:
    """A value as a person reads it."""
    return "–" if value is None else plain(str(value))  # noqa: RUF001 - a dash, for nothing


def plain(text: str) -> str:
    """Text that says nothing to a terminal, on one line."""
    return "".join(char if char.isprintable() else " " for char in text).strip()


def short(text: str | None, chars: int = _SHORT_CHARS) -> str | None:
    """The beginning of a text."""
    if text is None:
        return None
    line = plain(text[: chars * 4])
    return line if len(line) <= chars else line[: chars - 1] + "…"


def dollars(nanos: int | None) -> str:
    """Money; what is not known is never $0."""
    return "unknown" if nanos is None else f"${nanos_to_dollars(nanos)}"


def about_dollars(nanos: int) -> str:
    """Money that still changes, with the digits that one can follow."""
    shown = (nanos + _FOLLOWED_NANOS // 2) // _FOLLOWED_NANOS
    whole, rest = divmod(shown, 10_000)
    return f"${whole}.{rest:04d}"


def milliseconds(value: float | None) -> str | None:
    """A latency."""
    if value is None:
        return None
    return f"{value:.0f} ms" if value < _MS_PER_S else f"{value / _MS_PER_S:.1f} s"


def span(seconds: float | None) -> str | None:
    """A span of time."""
    if seconds is None:
        return None
    if seconds < _MINUTE_S:
        return f"{seconds:.0f} s"
    if seconds < _HOUR_S:
        return f"{seconds / _MINUTE_S:.0f} min"
    return f"{seconds / _HOUR_S:.1f} h"
