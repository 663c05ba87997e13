"""One statement for two stores: the tokens where SQLite and PostgreSQL differ.

Statements of the hot paths are written once for both stores, with a few tokens where they
differ:

    {now}                     this moment by the store's clock, not the transaction's start
    {after_ms(expression)}    that many milliseconds from now
    {age_s(expression)}       how many seconds ago a moment was; negative in the future
    {rows(id text, n int)}    the JSON array `:rows` as a table `d` with these columns
    {given(id, n)}            rows that are bound to the statement, as a table `d`; SQLite only
    {join}                    joins what follows to `d`, which is read first
    {lock} {skip_locked}      row locks where there are any; SQLite locks the whole store
"""

import re
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from itertools import islice
from typing import Any

import sqlalchemy as sa

#: Where the places of bound rows come in a statement.
_GIVEN = "(*given*)"
SQLITE_NOW = "strftime('%Y-%m-%d %H:%M:%f000', 'now')"
_TOKEN = re.compile(r"\{(\w+)(?:\(([^{}]*)\))?\}")
#: `:name`, but not the `::` of a cast.
_VALUE = re.compile(r"(?<!:):([a-z_]+)\b")


@lru_cache(maxsize=512)
def render(statement: str, dialect: str) -> sa.TextClause:
    """The statement for a dialect, by its name."""
    tokens = _TOKENS[dialect]
    return sa.text(
        _TOKEN.sub(lambda match: tokens[match.group(1)](match.group(2) or ""), statement)
    )


@lru_cache(maxsize=128)
def for_psycopg(statement: str) -> str:
    """The same statement with the driver's own marks for its values."""
    return _VALUE.sub(r"%(\1)s", statement.replace("%", "%%"))


@lru_cache(maxsize=128)
def all_at_once(select: str, width: int) -> str:
    """A SELECT of so many columns that answers all its rows as one JSON array, in their order."""
    names = ", ".join(f"c{number}" for number in range(width))
    return f"WITH q({names}) AS ({select}) SELECT json_group_array(json_array({names})) FROM q"  # noqa: S608


def _sqlite_rows(columns: str) -> str:
    names = [column.split()[0] for column in columns.split(",")]
    fields = ", ".join(f"json_extract(value, '$.{name}') AS {name}" for name in names)
    return f"(SELECT {fields} FROM json_each(:rows)) AS d"  # noqa: S608 - our own names


def _sqlite_given(columns: str) -> str:
    names = [column.strip() for column in columns.split(",")]
    fields = ", ".join(f"column{number} AS {name}" for number, name in enumerate(names, 1))
    return f"(SELECT {fields} FROM (VALUES {_GIVEN})) AS d"  # noqa: S608 - our own names


#: What each token becomes. NO KEY: a foreign key's check takes a key share lock, which this
#: one does not block.
_TOKENS: dict[str, dict[str, Callable[[str], str]]] = {
    "sqlite": {
        "now": lambda _: SQLITE_NOW,
        "after_ms": lambda ms: (
            f"strftime('%Y-%m-%d %H:%M:%f000', 'now', printf('%+.3f seconds', ({ms}) / 1000.0))"
        ),
        "age_s": lambda moment: f"((julianday('now') - julianday({moment})) * 86400.0)",
        "rows": _sqlite_rows,
        "given": _sqlite_given,
        "join": lambda _: "CROSS JOIN",
        "lock": lambda _: "",
        "lock_call": lambda _: "",
        "lock_job": lambda _: "",
        "skip_locked": lambda _: "",
    },
    "postgresql": {
        "now": lambda _: "clock_timestamp()",
        "after_ms": lambda ms: f"(clock_timestamp() + ({ms}) * interval '1 millisecond')",
        "age_s": lambda moment: f"EXTRACT(EPOCH FROM clock_timestamp() - {moment})",
        "rows": lambda columns: f"jsonb_to_recordset(CAST(:rows AS jsonb)) AS d({columns})",
        "join": lambda _: "JOIN",
        "lock": lambda _: "FOR NO KEY UPDATE",
        "lock_call": lambda _: "FOR NO KEY UPDATE OF call",
        "lock_job": lambda _: "FOR NO KEY UPDATE OF job",
        "skip_locked": lambda _: "FOR NO KEY UPDATE SKIP LOCKED",
    },
}


@lru_cache(maxsize=64)  # all rows of a group have the same few moments
def sqlite_time(moment: datetime) -> str:
    """A moment as SQLite stores it: text that sorts as time does."""
    return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S.%f")


#: The first of these that a column's type is an instance of is what COPY sends it as. In binary
#: form the server neither looks for escapes nor parses numbers: it takes two thirds of the time.
_COPIED_AS = (
    (sa.BigInteger, "int8"),
    (sa.Integer, "int4"),
    (sa.Boolean, "bool"),
    (sa.DateTime, "timestamptz"),
    (sa.String, "text"),
)


@lru_cache(maxsize=64)
def copy_types(table: sa.Table, columns: Sequence[str]) -> list[str]:
    """PostgreSQL's names for the types of a table's columns, for a COPY in binary form."""
    types = [table.c[column].type for column in columns]
    plain = [one.impl_instance if isinstance(one, sa.types.TypeDecorator) else one for one in types]
    return [next(name for kind, name in _COPIED_AS if isinstance(one, kind)) for one in plain]


#: How many rows one INSERT has: at each statement the driver hands over the interpreter, and
#: other threads keep it for a while, all within the transaction. Each of these is prepared once.
_ROWS_AT_ONCE = (64, 32, 16, 8, 4, 2, 1)


def insert_into_sqlite(
    driver: sqlite3.Connection, head: str, width: int, rows: Iterable[Sequence[Any]]
) -> None:
    """Insert rows of so many columns, many to a statement, which begins with `head`."""
    ready = sqlite_rows(rows)
    while chunk := list(islice(ready, _ROWS_AT_ONCE[0])):
        for count, values in _at_once(chunk):
            driver.execute(_many(head, width, count), values)


def change_on_sqlite(
    driver: sqlite3.Connection, statement: str, rows: Sequence[Sequence[Any]]
) -> int:
    """Execute a statement with `{given()}` for rows of its columns; answers how many it changed.

    Values that are bound are several times as fast as the same in JSON.
    """
    before = driver.total_changes
    for count, values in _at_once(rows):
        driver.execute(_given(statement, len(rows[0]), count), values)
    return driver.total_changes - before


def _at_once(rows: Sequence[Sequence[Any]]) -> Iterator[tuple[int, list[Any]]]:
    """How many rows each statement takes, and their values."""
    at = 0
    for count in _ROWS_AT_ONCE:
        while len(rows) - at >= count:
            yield count, [value for row in rows[at : at + count] for value in row]
            at += count


@lru_cache(maxsize=64)
def _given(statement: str, width: int, count: int) -> str:
    return statement.replace(_GIVEN, _places(width, count))


@lru_cache(maxsize=256)
def _many(head: str, width: int, count: int) -> str:
    return head + _places(width, count)


def _places(width: int, count: int) -> str:
    one = f"({', '.join('?' * width)})"
    return ", ".join([one] * count)


def sqlite_rows(rows: Iterable[Sequence[Any]]) -> Iterator[Sequence[Any]]:
    """The rows with their moments as text; which columns have any, the first row tells."""
    moments: list[int] | None = None
    for row in rows:
        if moments is None:
            moments = [n for n, value in enumerate(row) if isinstance(value, datetime)]
        if not moments:
            yield row
            continue
        changed = list(row)
        for n in moments:
            changed[n] = sqlite_time(changed[n])
        yield changed
