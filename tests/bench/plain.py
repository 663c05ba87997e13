"""The store without Overnight: what a commit takes, and the least that an ingest could take."""

import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import msgspec
import psycopg

from app.domain.ids import Prefix, job_ids, new_id
from app.domain.prompt import Message
from tests.bench.harness import SQLITE, System
from tests.bench.meters import median

_COMMITS = 50
_ENCODER = msgspec.json.Encoder()


@contextmanager
def plain_connection(system: System) -> Iterator[Any]:
    """The driver's own connection to a store like the system's, with an empty table in it.

    Not the same store where that is one file: it would wait for the system's locks.
    """
    if system.kind == SQLITE:
        connection: Any = sqlite3.connect(system.directory / "plain.db", isolation_level=None)
        for pragma in ("journal_mode=WAL", "synchronous=FULL"):
            connection.execute(f"PRAGMA {pragma}")
    else:
        url = system.services.store.url.set(drivername="postgresql")
        connection = psycopg.connect(url.render_as_string(hide_password=False), autocommit=True)
    try:
        connection.execute("CREATE TABLE plain (id text PRIMARY KEY, prompt text)")
        yield connection
        connection.execute("DROP TABLE plain")
    finally:
        connection.close()


def commit_ms(system: System) -> float:
    """The median time of one-row commits, each on disk before it is over."""
    took = []
    with plain_connection(system) as connection:
        for number in range(_COMMITS):
            began = time.perf_counter()
            connection.execute(f"INSERT INTO plain VALUES ('line-{number}', 'a prompt')")
            took.append(time.perf_counter() - began)
    return median(took) * 1000


class _Body(msgspec.Struct):
    messages: list[Message]


class _Line(msgspec.Struct):
    custom_id: str
    body: _Body


_DECODER = msgspec.json.Decoder(_Line)


def floor_s(system: System, file: bytes) -> float:
    """Split a file, decode every line, and copy its text into a plain table, in one transaction.

    The table has a key, with ids that rise as ours do: the least that finds a line again.
    """
    ids = job_ids(new_id(Prefix.BATCH), 0, file.count(b"\n"))
    with plain_connection(system) as connection:
        began = time.perf_counter()
        decoded = map(_DECODER.decode, file.splitlines())
        prompts = (_ENCODER.encode(line.body.messages).decode() for line in decoded)
        rows = zip(ids, prompts, strict=True)
        if system.kind == SQLITE:
            connection.execute("BEGIN IMMEDIATE")
            connection.executemany("INSERT INTO plain VALUES (?, ?)", rows)
            connection.execute("COMMIT")
        else:
            with connection.cursor() as cursor, cursor.copy("COPY plain FROM STDIN") as copy:
                for row in rows:
                    copy.write_row(row)
        return time.perf_counter() - began
