"""Every query of a report goes by an index, on both stores.

What is read is a small part of a store that knows its statistics. PostgreSQL is told to avoid
sequential scans, so that one that is left has no index to go by; an index that is read from
end to end is none either.
"""

import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import sqlalchemy as sa
from sqlmodel import Session, select

from app.db import Store, Tx
from app.domain.ids import job_id
from app.models import Account, Batch, BatchMetadata, Job
from app.reports.jobs import job_view
from app.reports.leaderboard import report
from app.reports.progress import Narrowed, batch_view, list_batches
from app.reports.results import Selection, result_page
from tests.factories import make_account, make_backlog, make_batch, make_call, make_job, make_lane
from tests.factories.bulk import analyze, make_big_batch

#: The backlog has a line for a lane, model and batch that wait, and is no longer than that.
GROWING = {
    "attempt", "batch", "batch_metadata", "call", "completion", "job", "stored_text", "usage", "verdict",
}  # fmt: skip
#: An index of nothing but what workers hold is short, and may be read from end to end.
SHORT = "ix_call_held"
Recorded = dict[str, Any]
Read = Callable[[Session, str, str], object]


@contextmanager
def recorded(store: Store) -> Iterator[Recorded]:
    """Every statement, with the parameters it last had."""
    seen: Recorded = {}

    def note(_connection: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        seen[statement] = parameters

    sa.event.listen(store.engine, "before_cursor_execute", note)
    try:
        yield seen
    finally:
        sa.event.remove(store.engine, "before_cursor_execute", note)


def plan_of(store: Store, statement: str, parameters: Any) -> tuple[set[str], set[str]]:
    """The growing tables that are read from end to end, and the indexes that are used."""
    with store.engine.connect() as connection:
        if store.is_sqlite:
            rows = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters).all()
            return _of_sqlite([row[-1] for row in rows])
        connection.exec_driver_sql("SET enable_seqscan = off")
        explained = connection.exec_driver_sql(f"EXPLAIN (FORMAT JSON) {statement}", parameters)
        found = explained.scalar_one()
        return _of_postgres(json.loads(found) if isinstance(found, str) else found)


def _of_sqlite(lines: list[str]) -> tuple[set[str], set[str]]:
    text = "\n".join(line for line in lines if SHORT not in line)
    scans = set(re.findall(r"SCAN (\w+)", text))
    return scans & GROWING, set(re.findall(r"INDEX (\w+)", "\n".join(lines)))


def _of_postgres(plans: list[dict[str, Any]]) -> tuple[set[str], set[str]]:
    scans, indexes = set(), set()
    nodes = [plan["Plan"] for plan in plans]
    while nodes:
        node = nodes.pop()
        nodes += node.get("Plans", [])
        index = node.get("Index Name")
        indexes |= {index} if index else set()
        is_whole = "Index Cond" not in node and index != SHORT
        if node["Node Type"] == "Seq Scan" or (index and is_whole):
            scans.add(node.get("Relation Name", index))
    return {name for name in scans if name in GROWING or "_" in name}, indexes


@pytest.fixture
def batch_id(store: Store, account: Account) -> str:
    """A small batch among larger ones, that is under way and retries another."""
    with store.transaction() as tx:
        others = make_account(tx)
    for _ in range(3):
        make_big_batch(store, others, 1_000)
    retried = make_big_batch(store, account, 50)
    batch_id = make_big_batch(store, account, 50)
    with store.transaction() as tx:
        _make_queue(tx, others)
        for number in range(200):
            about = {"account_id": others.id, "name": "a", "value": f"{number}"}
            tx.add(BatchMetadata(**about, batch_id=f"batch_{number}"))
        batch = tx.get_one(Batch, batch_id)
        batch.retry_of, batch.state, batch.cap_nanos, batch.jobs_succeeded = (
            retried, "running", 1, 41,
        )  # fmt: skip
        for job in tx.exec(select(Job).where(Job.batch_id == batch_id, Job.position > 40)):
            job.state = "queued"
        make_backlog(tx, batch, make_lane(tx, account, "openai"), "a", wait_reason="backoff")
    analyze(store)
    return batch_id


def _make_queue(tx: Tx, account: Account) -> None:
    """Another batch, with calls that wait and calls in flight."""
    batch, lane = make_batch(tx, account), make_lane(tx, account, "openai")
    job = make_job(tx, batch, state="running")
    for number in range(50):
        make_call(tx, job, f"openai/{number}", state="queued")
        make_call(tx, job, f"openai/{number}", state="sending")
        make_backlog(tx, batch, lane, str(number))


def one_job(session: Session, account_id: str, batch_id: str) -> object:
    return job_view(session, account_id, job_id(batch_id, 7))


READS: dict[str, tuple[Read, set[str]]] = {
    "batch": (
        batch_view,
        {"ix_backlog_batch_id", "ix_call_due", "ix_call_held"},
    ),
    "list": (
        lambda session, account_id, batch_id: list_batches(session, account_id, batch_id, 10),
        {"ix_batch_listed"},
    ),
    "narrowed": (
        lambda session, account_id, batch_id: list_batches(
            session, account_id, batch_id, 10, Narrowed("a", ["running"], {"a": "b", "c": "d"})
        ),
        {"pk_batch_metadata"},
    ),
    "page": (
        lambda session, account_id, batch_id: result_page(session, account_id, batch_id, 10, 20),
        {"pk_job", "ix_call_job_id"},
    ),
    "closed": (
        lambda session, account_id, batch_id: result_page(
            session, account_id, batch_id, 10, 20, Selection(only_closed=True)
        ),
        {"pk_job", "ix_call_job_id"},
    ),
    "joined": (
        lambda session, account_id, batch_id: result_page(
            session, account_id, batch_id, 10, 20, Selection(joined=True)
        ),
        {"pk_job", "ix_job_retry_of", "ix_call_job_id"},
    ),
    "job": (one_job, {"ix_call_job_id"}),
    "report": (report, {"ix_usage_batch_id", "ix_verdict_batch_id", "ix_call_job_id"}),
}


def test_what_is_read_is_looked_up(store: Store, account: Account, batch_id: str) -> None:
    for name, (read, wanted) in READS.items():
        with recorded(store) as statements, store.read() as session:
            read(session, account.id, batch_id)
        used: set[str] = set()
        for statement, parameters in statements.items():
            scans, indexes = plan_of(store, statement, parameters)
            assert scans == set(), f"{name}: {statement}"
            used |= indexes
        if not store.is_sqlite:  # SQLite calls the index of a constraint by a number
            assert wanted <= used, name


@pytest.mark.parametrize(
    "statement",
    ["SELECT id FROM call WHERE message = 'nothing'", "SELECT id FROM call ORDER BY id"],
)
def test_a_query_without_an_index_would_be_noticed(store: Store, statement: str) -> None:
    scans, _ = plan_of(store, statement, ())
    assert scans != set()
