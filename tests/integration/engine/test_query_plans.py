"""Every query the engine makes is answered by an index, on both stores.

The statements of a whole flow are recorded as they are executed, and explained afterwards.
PostgreSQL is told to avoid sequential scans: one that is still in a plan has no index to go by.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, cast

import pytest
import sqlalchemy as sa

from app import sessions
from app.db import Store, Tx
from app.dialects import change_on_sqlite, for_psycopg
from app.pipeline.control import cancel, resume
from app.pipeline.reconcile import reconcile, recover_lost_workers
from app.pipeline.retry import retry
from tests.fakes.engine import Engine
from tests.integration.engine.test_flow import QUICK

#: Tables that grow with the work; the others are small, or are read as a whole on purpose.
GROWING = {
    "attempt", "batch", "call", "completion", "delivery", "event", "job", "ledger_entry",
    "stored_text", "usage", "verdict",
}  # fmt: skip
Recorded = dict[str, Any]


class NotingDriver:
    """A connection of SQLite's driver that notes what it is told to execute."""

    def __init__(self, driver: Any, note: Callable[[str, Any], None]) -> None:
        self._driver = driver
        self._note = note

    @property
    def total_changes(self) -> int:
        return int(self._driver.total_changes)

    def execute(self, statement: str, values: Any) -> None:
        self._note(statement, tuple(values))
        self._driver.execute(statement, values)


@contextmanager
def recorded(store: Store) -> Iterator[Recorded]:
    """Every statement that reads or changes rows, with the parameters it last had."""
    seen: Recorded = {}

    def note(
        _connection: Any, _cursor: Any, statement: str, parameters: Any, _context: Any, many: object
    ) -> None:
        if not many and re.match(
            r"\s*(SELECT|UPDATE|DELETE|INSERT|WITH)", statement, re.IGNORECASE
        ):
            seen[statement] = parameters

    def noting(method: Any) -> Any:
        def noted(tx: Tx, statement: sa.TextClause, *arguments: Any) -> Any:
            text = statement.text if store.is_sqlite else for_psycopg(statement.text)
            note(None, None, text, arguments[-1], None, many=False)
            return method(tx, statement, *arguments)

        return noted

    def change_rows(driver: Any, statement: str, rows: Sequence[Sequence[Any]]) -> int:
        def noted(text: str, values: Any) -> None:
            note(None, None, text, values, None, many=False)

        return change_on_sqlite(cast("Any", NotingDriver(driver, noted)), statement, rows)

    sa.event.listen(store.engine, "before_cursor_execute", note)
    try:
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(sessions, "change_on_sqlite", change_rows)
            for name in ("fast", "select", "change"):  # they go to the driver by themselves
                patched.setattr(Tx, name, noting(getattr(Tx, name)))
            yield seen
    finally:
        sa.event.remove(store.engine, "before_cursor_execute", note)


def run_everything(engine: Engine) -> None:
    """Every step, and every way a batch can go."""
    judged = {"mode": "judge", "judge": {"judges": ["simulated/judge"]}, "params": QUICK}
    engine.submit(["one", "two"], models=["simulated/gold", "simulated/tin"], **judged)
    engine.drain()
    stopped = engine.submit([f"prompt {n}" for n in range(30)], budget_usd=10, params=QUICK)
    engine.follow(*engine.queue.hints.popleft())
    engine.claim(wanted=3)
    engine.lose_worker()
    recover_lost_workers(engine.services)
    engine.pump_once()
    cancel(engine.services, engine.account_id, stopped)
    engine.drain()
    retry(engine.services, engine.account_id, stopped)
    engine.drain()
    for _ in range(2):
        sampled = engine.submit(
            ["three", "four"], cache=True, sample=1, stop_if_failed_percent=50, params=QUICK
        )
        engine.drain()
        reconcile(engine.services)
        resume(engine.services, engine.account_id, sampled)
        engine.drain()
    reconcile(engine.services)


def scans_of(store: Store, statement: str, parameters: Any) -> set[str]:
    """The growing tables that the plan reads from end to end."""
    with store.engine.connect() as connection:
        if store.is_sqlite:
            rows = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters).all()
            lines = [row[-1] for row in rows]
            found = [
                re.match(r"SCAN (\w+)\b(?! USING (?:COVERING )?INDEX ix_\w+_(open|due|held))", line)
                for line in lines
            ]
        else:
            connection.exec_driver_sql("SET enable_seqscan = off")
            rows = connection.exec_driver_sql(f"EXPLAIN {statement}", parameters).all()
            found = [re.search(r"Seq Scan on (\w+)", row[0]) for row in rows]
    return {match[1] for match in found if match} & GROWING


def test_no_query_of_the_engine_reads_a_growing_table_from_end_to_end(engine: Engine) -> None:
    with recorded(engine.store) as statements:
        run_everything(engine)
    assert len(statements) > 40
    assert any("cache_key = d.wanted" in statement for statement in statements)
    assert any("UPDATE attempt SET state = d." in statement for statement in statements)
    scanning = {
        statement: tables
        for statement, parameters in statements.items()
        if (tables := scans_of(engine.store, statement, parameters))
    }
    assert scanning == {}


def test_a_query_without_an_index_would_be_noticed(engine: Engine) -> None:
    statement = "SELECT id FROM call WHERE message = 'nothing'"
    assert scans_of(engine.store, statement, ()) == {"call"}


@pytest.mark.parametrize("store_url", ["postgres"], indirect=True)
def test_a_group_is_recorded_without_a_look_at_anything_else_in_flight(engine: Engine) -> None:
    with recorded(engine.store) as statements:
        engine.submit(["one", "two"], params=QUICK)
        engine.drain()
    ((recording, values),) = (one for one in statements.items() if "attempt_state" in one[0])
    with engine.store.engine.connect() as connection:
        for way in ("seqscan", "hashjoin", "mergejoin", "bitmapscan"):  # as a worker's connections
            connection.exec_driver_sql(f"SET enable_{way} = off")
        rows = connection.exec_driver_sql(f"EXPLAIN {recording}", values).all()
    plan = "\n".join(row[0] for row in rows)
    assert set(re.findall(r"Index Scan using (\w+) on call\b", plan)) == {"pk_call"}
    # What was given is gone through once, and not once for each row that came through the fence.
    assert plan.count("CTE Scan on d") == 1


#: What only `stop_if_failed_percent`, `cache` and `sample` execute.
FOR_SOME = ("first_failed = first_failed", "cache_key = d.wanted", "SET paused = true")


def statements_of(engine: Engine, **fields: object) -> str:
    """What is executed for a batch, but for the driver's own."""
    with recorded(engine.store) as seen:
        engine.submit(["one", "two", "three"], params=QUICK, **fields)
        engine.drain()
    return "\n".join(seen)


def test_batches_that_ask_for_none_of_it_pay_for_none_of_it(engine: Engine) -> None:
    plain = statements_of(engine)
    assert not any(words in plain for words in FOR_SOME)
    asked = statements_of(engine, sample=1, stop_if_failed_percent=99, cache=True)
    assert all(words in asked for words in FOR_SOME)
