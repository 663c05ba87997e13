"""What grows costs nothing that is looked at all the time: idle lanes, and calls that wait."""

from sqlalchemy import insert

from app.domain.ids import Prefix, new_id
from app.models import Lane
from app.pipeline.backlog import due_backlog
from app.reports.operation import operation
from tests.fakes.engine import Engine
from tests.integration.engine.test_flow import QUICK
from tests.integration.engine.test_query_plans import recorded, scans_of

AWAY = "redis://127.0.0.1:9/0"


def add_idle_lanes(engine: Engine, count: int) -> None:
    """Lanes of one account, each to a server of its own, without any work."""
    with engine.store.transaction() as tx:
        now = engine.store.now(tx)
        tx.execute(
            insert(Lane),
            [
                {
                    "id": new_id(Prefix.LANE),
                    "account_id": engine.account_id,
                    "provider": f"custom:idle-{number}",
                    "billed": "byok",
                    "state": "open",
                    "created_at": now,
                }
                for number in range(count)
            ],
        )


def test_a_turn_reads_no_more_though_there_are_a_thousand_idle_lanes(engine: Engine) -> None:
    engine.submit(["one"], params=QUICK)
    engine.follow(*engine.queue.hints.popleft())
    with recorded(engine.store) as before:
        entries = due_backlog(engine.store)
    add_idle_lanes(engine, 1000)
    with recorded(engine.store) as after:
        assert due_backlog(engine.store) == entries
    assert (len(entries), set(after)) == (1, set(before))
    seen = operation(engine.store, AWAY)
    assert [lane.id for lane in seen.lanes] == [entries[0].lane_id]


def test_what_is_told_of_the_installation_is_counted_without_reading_all_calls(
    engine: Engine,
) -> None:
    engine.submit([f"prompt {n}" for n in range(40)], params=QUICK)
    engine.follow(*engine.queue.hints.popleft())
    engine.claim(wanted=3)
    with recorded(engine.store) as statements:
        seen = operation(engine.store, AWAY)
    assert (seen.calls_queued, seen.calls_due, seen.calls_in_flight) == (37, 37, 3)
    assert len(statements) >= 6
    scanning = {
        statement: tables
        for statement, parameters in statements.items()
        if (tables := scans_of(engine.store, statement, parameters))
    }
    assert scanning == {}
