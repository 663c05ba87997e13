"""Every test that asks for a store gets one of its own, with the whole schema."""

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
import sqlalchemy as sa

from app import migrations
from app.db import Store
from app.models import Worker


def test_a_store_has_the_schema_of_this_version(store: Store) -> None:
    migrations.check_schema(store.engine)


@pytest.mark.parametrize("turn", [1, 2])
def test_a_store_is_not_shared_between_tests(store: Store, turn: int) -> None:
    with store.transaction() as tx:
        connection = tx.connection()
        assert not sa.inspect(connection).has_table("left_behind"), f"in turn {turn}"
        connection.execute(sa.text("CREATE TABLE left_behind (turn integer)"))


COLUMNS = ("id", "host", "pid", "version", "started_at", "lease_until", "writer_lag_ms")
NOW = datetime(2026, 3, 4, 5, 6, 7, 891000, tzinfo=UTC)


def workers(count: int) -> Iterator[tuple[object, ...]]:
    for number in range(count):
        yield (f"wrk_{number:03}", f"host '{number}' \u2028 \\", number, "1", NOW, NOW, 0)


@pytest.mark.parametrize("count", [0, 1, 2, 63, 64, 65, 200])
def test_any_number_of_rows_is_inserted_as_it_is(store: Store, count: int) -> None:
    with store.transaction() as tx:
        store.insert_rows(tx, Worker, COLUMNS, workers(count))
    with store.read() as reader:
        rows = reader.select(store.sql("SELECT id, host, pid FROM worker ORDER BY id"), 3, {})
        moments = {row.lease_until for row in reader.scalars(sa.select(Worker))}
    assert [tuple(row) for row in rows] == [row[:3] for row in workers(count)]
    assert moments == ({NOW} if count else set())


def test_rows_come_in_their_order_with_nothing_lost(store: Store) -> None:
    statement = """
    SELECT d.id, d.n, NULL FROM {rows(id text, n int)} WHERE d.n > :least ORDER BY d.n DESC
    """
    rows = '[{"id": "a\\"b", "n": 1}, {"id": "\\u00e9\\ud83d\\ude00", "n": 3}, {"id": "", "n": 2}]'
    with store.read() as reader:
        found = reader.select(store.sql(statement), 3, {"rows": rows, "least": 0})
        none = reader.select(store.sql(statement), 3, {"rows": rows, "least": 9})
    assert [tuple(row) for row in found] == [
        ("\u00e9\U0001f600", 3, None),
        ("", 2, None),
        ('a"b', 1, None),
    ]
    assert none == []


def test_a_change_says_how_many_rows_it_changed(store: Store) -> None:
    with store.transaction() as tx:
        store.insert_rows(tx, Worker, COLUMNS, workers(5))
        statement = """
        WITH c AS MATERIALIZED (SELECT id FROM worker WHERE pid < :below)
        UPDATE worker SET pid = pid + 100 FROM c WHERE worker.id = c.id
        """
        assert tx.change(store.sql(statement), {"below": 3}) == 3
        assert tx.change(store.sql(statement), {"below": 0}) == 0
