"""What the engine wrote is what the reports read."""

from pathlib import Path

import msgspec
import pytest

from app.db import Store
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
