"""A claim begins where the last one ended; what is queued again before that is not forgotten."""

from pathlib import Path
from typing import Any

from sqlmodel import col, select, update

from app.db import Store
from app.models import Attempt, Call
from app.pipeline.backlog import due_backlog
from app.pipeline.dispatch import Claim, Room, claim
from app.pipeline.outcomes import given_back
from app.pipeline.reconcile import recover_lost_workers
from app.pipeline.record import record
from tests.fakes.engine import Engine
from tests.integration.engine.failing import make_due
from tests.integration.engine.test_flow import QUICK
from tests.integration.engine.test_query_plans import recorded
from tests.servers import wait_for
from workers.runtime import Runtime

#: A poll of the pump, and its turns before and after that.
SOON_S = 2.0


def planned(engine: Engine, prompts: int, **params: Any) -> None:
    """So many prompts are due."""
    engine.submit([f"prompt {n}" for n in range(prompts)], params=params or QUICK)
    engine.follow(*engine.queue.hints.popleft())


def claimed(engine: Engine, wanted: int, from_rank: int = 0) -> Claim:
    """A claim of the only entry."""
    (entry,) = due_backlog(engine.store)
    return claim(engine.services, engine.worker_id, entry, wanted, from_rank=from_rank)


def give_back(engine: Engine, got: Claim) -> set[str]:
    """Queue what was claimed again; answers what that is."""
    record(engine.services, [given_back(one.call, "test") for one in got.calls])
    return ids_of(got)


def ids_of(*claims: Claim) -> set[str]:
    """Which calls were claimed."""
    return {one.call.id for got in claims for one in got.calls}


def test_a_claim_leaves_a_mark_at_which_the_next_one_begins(engine: Engine) -> None:
    planned(engine, 6)
    first = claimed(engine, 2)
    again = give_back(engine, first)
    second = claimed(engine, 2, first.mark + 1)
    assert (first.mark, second.mark) == (1, 3)
    assert not again & ids_of(second)
    assert ids_of(claimed(engine, 2)) == again
    give_back(engine, second)


def test_where_too_few_are_behind_the_mark_the_next_claim_begins_anew(engine: Engine) -> None:
    planned(engine, 6)
    first = claimed(engine, 4)
    again = give_back(engine, first)
    rest = claimed(engine, 4, first.mark + 1)
    assert (len(rest.calls), rest.short, rest.mark) == (2, None, 0)
    last = claimed(engine, 5, rest.mark)
    assert (ids_of(last), last.short) == (again, Room.EXHAUSTED)


def test_where_nothing_is_behind_the_mark_what_is_before_it_is_claimed_at_once(
    engine: Engine,
) -> None:
    planned(engine, 4)
    first = claimed(engine, 4)
    again = give_back(engine, first)
    assert ids_of(claimed(engine, 4, first.mark + 1)) == again
    assert claimed(engine, 4, first.mark + 1).short is Room.EXHAUSTED


def test_a_budget_without_room_behind_the_mark_may_have_some_before_it(engine: Engine) -> None:
    planned(engine, 4)
    first = claimed(engine, 1)
    again = give_back(engine, first)
    with engine.store.transaction() as tx:
        tx.exec(update(Call).where(col(Call.id).not_in(again)).values(worst_nanos=10**18))
        tx.execute(engine.store.sql("UPDATE batch SET cap_nanos = 1000000000000"), {})
    assert ids_of(claimed(engine, 1, first.mark + 1)) == again


def test_q19_a_worker_holds_one_call_that_was_lost_twice_and_no_other_is_condemned_with_it(
    engine: Engine,
) -> None:
    planned(engine, 5)
    with engine.store.transaction() as tx:
        lost = update(Call).where(col(Call.rank).in_([0, 2, 3])).values(crash_count=2)
        tx.exec(lost)
    (entry,) = due_backlog(engine.store)
    first = claimed(engine, 16)
    others = claim(engine.services, engine.worker_id, entry, 16, suspect=False)
    assert (len(first.calls), first.short, len(others.calls)) == (2, None, 1)
    engine.lose_worker()
    recover_lost_workers(engine.services)
    make_due(engine)
    engine.drain()
    with engine.store.read() as session:
        ends = session.exec(select(Call.rank, Call.reason).order_by(col(Call.rank))).all()
    assert ends == [(0, "poison"), *((n, None) for n in range(1, 5))]


def test_s10_the_index_is_entered_at_the_mark_whatever_an_old_snapshot_keeps_before_it(
    engine: Engine,
) -> None:
    planned(engine, 4)
    with recorded(engine.store) as statements:
        claimed(engine, 2, 1)
    (found,) = [(one, given) for one, given in statements.items() if "ORDER BY rank, id" in one]
    words = "EXPLAIN QUERY PLAN" if engine.store.is_sqlite else "EXPLAIN"
    with engine.store.engine.connect() as connection:
        if not engine.store.is_sqlite:
            connection.exec_driver_sql("SET enable_seqscan = off")
        plan = connection.exec_driver_sql(f"{words} {found[0]}", found[1]).all()
    lines = [row[-1] for row in plan]
    entered = "rank>?" if engine.store.is_sqlite else "(rank >= "
    assert any("ix_call_due" in line for line in lines)
    assert any(entered in line and "Filter" not in line for line in lines), lines


def test_a_call_of_an_early_job_is_sent_within_a_moment_however_many_are_due_behind_it(
    store: Store, tmp_path: Path, valkey_url: str
) -> None:
    engine = Engine(store, tmp_path, REDIS_URL=valkey_url, OVERNIGHT_WORKER_IN_FLIGHT=8)
    planned(engine, 600, extra={"simulated": {"latency_ms": 100, "latency_sigma": 0}})
    with store.transaction() as tx:
        tx.execute(store.sql("UPDATE call SET due_at = {after_ms(1500)} WHERE rank = 0"), {})
    runtime = Runtime(engine.services)
    runtime.start()
    try:
        assert wait_for(lambda: late_s(store) is not None, timeout_s=60)
        with store.read() as session:
            assert session.exec(select(Call).where(Call.rank == 599)).one().state == "queued"
    finally:
        runtime.stop(0)
    assert (late_s(store) or 0.0) < SOON_S


def late_s(store: Store) -> float | None:
    """How long after it was due the first job's call was sent, if it was."""
    with store.read() as session:
        call, attempt = session.exec(
            select(Call, Attempt)
            .outerjoin(Attempt, col(Attempt.call_id) == Call.id)
            .where(Call.rank == 0)
        ).one()
        return None if attempt is None else (attempt.started_at - call.due_at).total_seconds()
