"""What the engine wrote is what the reports read."""

from pathlib import Path

import msgspec
import pytest
from sqlmodel import col, select

from app.db import Store
from app.domain.ids import job_id
from app.domain.states import JobState
from app.models import Job
from app.pipeline.control import cancel
from app.pipeline.retry import retry
from app.reports.jobs import job_view
from app.reports.leaderboard import report
from app.reports.progress import batch_view
from app.reports.results import Selection, result_page
from tests.fakes.engine import Engine

QUICK = {"extra": {"simulated": {"latency_ms": 0}}}
GOLD, TIN, JUDGE = "simulated/gold", "simulated/tin", "simulated/judge"


@pytest.fixture
def engine(store: Store, tmp_path: Path) -> Engine:
    """A whole engine in one thread."""
    return Engine(store, tmp_path)


def test_a_judged_batch_is_told_from_its_first_job_to_its_leaderboard(engine: Engine) -> None:
    prompts = [f"Question {number}?" for number in range(8)]
    batch_id = engine.submit(
        prompts, mode="judge", models=[TIN, GOLD], judge={"judges": [JUDGE]}, params=QUICK
    )
    engine.drain()
    with engine.store.read() as session:
        batch = batch_view(session, engine.account_id, batch_id)
        lines, _ = result_page(session, engine.account_id, batch_id)
        job = job_view(session, engine.account_id, lines[0].job_id)
        found = report(session, engine.account_id, batch_id)
    assert (batch.state, batch.counts.jobs.succeeded, batch.counts.calls.closed) == (
        "completed",
        8,
        24,
    )
    assert [line.custom_id for line in lines] == [f"c{number}" for number in range(8)]
    assert {tuple(one.label for one in line.completions) for line in lines} == {(TIN, GOLD, JUDGE)}
    assert sum(line.cost_nanos or 0 for line in lines) == batch.cost.spent_nanos > 0
    verdict = msgspec.json.decode(job.verdict or b"{}")
    assert {score["label"] for score in verdict["scores"]} == {TIN, GOLD}
    assert job.calls[2].meta is not None
    assert set(job.calls[2].meta["contestants"].values()) == {TIN, GOLD}
    assert [row.label for row in found.leaderboard] == [GOLD, TIN]
    assert (found.simulated, found.judged, found.judges[0].verdicts) == (True, 8, 8)


def test_a_cancelled_batch_and_its_retry_are_read_as_one(engine: Engine) -> None:
    first = engine.submit([f"Question {number}?" for number in range(4)], params=QUICK)
    cancel(engine.services, engine.account_id, first)
    engine.drain()
    second = retry(engine.services, engine.account_id, first).batch_id
    engine.drain()
    with engine.store.read() as session:
        alone, _ = result_page(session, engine.account_id, first)
        joined, _ = result_page(
            session, engine.account_id, second, selection=Selection(joined=True)
        )
    assert [line.state for line in alone] == ["cancelled"] * 4
    assert [line.state for line in joined] == ["succeeded"] * 4
    assert [line.custom_id for line in joined] == [line.custom_id for line in alone]


def close(engine: Engine, batch_id: str, *positions: int) -> None:
    """Cancel a batch of which some jobs succeeded."""
    cancel(engine.services, engine.account_id, batch_id)
    engine.drain()
    with engine.store.transaction() as tx:
        for position in positions:
            tx.get_one(Job, job_id(batch_id, position)).state = JobState.SUCCEEDED


def test_a_retry_of_a_retry_is_read_in_the_places_of_the_first(engine: Engine) -> None:
    first = engine.submit([f"Question {number}?" for number in range(5)], params=QUICK)
    close(engine, first, 0, 2)
    second = retry(engine.services, engine.account_id, first).batch_id
    close(engine, second, 0)
    third = retry(engine.services, engine.account_id, second).batch_id
    engine.drain()
    with engine.store.read() as session:
        jobs = session.exec(select(Job).where(Job.batch_id == third).order_by(col(Job.id))).all()
        joined, _ = result_page(
            session, engine.account_id, third, 0, 9, selection=Selection(joined=True)
        )
    assert [(job.custom_id, job.retry_of) for job in jobs] == [("c3", 1), ("c4", 2)]
    assert [(line.custom_id, line.state, len(line.completions)) for line in joined] == [
        ("c1", "succeeded", 0),
        ("c2", "succeeded", 0),
        ("c3", "succeeded", 1),
        ("c4", "succeeded", 1),
    ]
