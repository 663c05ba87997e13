"""A sample runs first; the rest waits until somebody has looked at it."""

from datetime import timedelta

import pytest
from sqlmodel import Session, col, select

from app.domain.states import CallState, JobState
from app.models import Batch, Call, Delivery, Endpoint, Event, Job
from app.pipeline.control import pause, resume
from app.pipeline.reconcile import reconcile, recover_lost_workers
from app.pipeline.record import record
from app.queue import Step
from app.reports.leaderboard import report
from app.reports.progress import batch_view
from app.reports.results import result_page
from app.reports.views import BatchView
from tests.fakes.engine import Engine
from tests.integration.engine.test_flow import QUICK, batch_of

FIVE = ["one", "two", "three", "four", "five"]
JUDGED = {
    "mode": "judge",
    "models": ["simulated/gold", "simulated/tin"],
    "judge": {"judges": ["simulated/judge"]},
}


def view_of(engine: Engine, batch_id: str) -> BatchView:
    with engine.store.read() as session:
        return batch_view(session, engine.account_id, batch_id)


def reason_of(engine: Engine, batch_id: str) -> str | None:
    waits = view_of(engine, batch_id).waiting_on
    return None if waits is None else waits.reason


def job_states(session: Session, batch_id: str) -> list[str]:
    jobs = select(Job.state).where(Job.batch_id == batch_id).order_by(col(Job.position))
    return list(session.exec(jobs).all())


def sample_events(session: Session) -> int:
    kind = "overnight.batch.sample_done"
    return len(session.exec(select(Event.id).where(Event.type == kind)).all())


def listen(engine: Engine, batch_id: str) -> None:
    """Give the batch a webhook, which nobody answers."""
    with engine.store.transaction() as tx:
        tx.add(
            Endpoint(
                id="whe_1",
                account_id=engine.account_id,
                batch_id=batch_id,
                url="https://127.0.0.1:9/hook",
                event_types='["overnight.batch.sample_done", "batch.completed"]',
                created_at=engine.store.now(tx),
            )
        )


def test_a_batch_with_a_sample_waits_after_it(engine: Engine) -> None:
    batch_id = engine.submit(FIVE, sample=2, params=QUICK)
    engine.drain()
    view = view_of(engine, batch_id)
    assert (view.state, view.paused, view.sample) == ("running", True, 2)
    assert reason_of(engine, batch_id) == "sample"
    assert view.eta_s is None
    with engine.store.read() as session:
        assert job_states(session, batch_id) == [JobState.SUCCEEDED] * 2 + [JobState.QUEUED] * 3
        assert len(session.exec(select(Call)).all()) == 2
    assert len(engine.carried) == 2


def test_a_sampled_batch_is_resumed_with_the_rest_of_its_jobs(engine: Engine) -> None:
    batch_id = engine.submit(FIVE, sample=2, params=QUICK)
    engine.drain()
    resume(engine.services, engine.account_id, batch_id)
    assert (view_of(engine, batch_id).paused, view_of(engine, batch_id).sample) == (False, None)
    engine.drain()
    with engine.store.read() as session:
        batch = batch_of(session, batch_id)
        assert sample_events(session) == 1
    assert (batch.state, batch.jobs_succeeded, batch.calls_closed) == ("completed", 5, 5)


def test_a_sample_s_results_and_report_are_read_while_the_rest_waits(engine: Engine) -> None:
    batch_id = engine.submit(FIVE, sample=2, params=QUICK, **JUDGED)
    engine.drain()
    with engine.store.read() as session:
        lines, _ = result_page(session, engine.account_id, batch_id)
        found = report(session, engine.account_id, batch_id)
    assert [line.state for line in lines] == ["succeeded"] * 2 + ["queued"] * 3
    assert all(line.verdict is not None for line in lines[:2])
    assert found.judged == 2


def test_every_round_of_a_sample_s_jobs_is_run_before_it_is_done(engine: Engine) -> None:
    batch_id = engine.submit(FIVE, sample=2, params=QUICK, **JUDGED)
    engine.follow(*engine.queue.hints.popleft())
    record(engine.services, engine.carry_all(engine.claim()))
    record(engine.services, engine.carry_all(engine.claim()))
    assert reason_of(engine, batch_id) is None
    assert not view_of(engine, batch_id).paused
    engine.drain()
    assert reason_of(engine, batch_id) == "sample"


def test_the_end_of_a_sample_is_told_once_to_the_batch_s_webhook(engine: Engine) -> None:
    batch_id = engine.submit(FIVE, sample=2, params=QUICK)
    listen(engine, batch_id)
    engine.drain()
    with engine.store.read() as session:
        told = session.exec(
            select(Event.type, Event.body).join(Delivery, col(Delivery.event_id) == Event.id)
        ).all()
    assert [kind for kind, _ in told] == ["overnight.batch.sample_done"]
    assert f'"data":{{"id":"{batch_id}","seq":1,"state":"running"' in told[0][1]


@pytest.mark.parametrize("sample", [5, 6])
def test_a_sample_of_all_jobs_or_more_is_a_whole_run(engine: Engine, sample: int) -> None:
    batch_id = engine.submit(FIVE, sample=sample, params=QUICK)
    engine.drain()
    with engine.store.read() as session:
        batch = batch_of(session, batch_id)
        assert sample_events(session) == 0
    assert (batch.state, batch.jobs_succeeded, batch.sample) == ("completed", 5, None)


def test_a_sample_whose_jobs_failed_is_done_as_well(engine: Engine) -> None:
    fault = {"extra": {"simulated": {"latency_ms": 0, "fault": {"status": 400}}}}
    batch_id = engine.submit(FIVE, sample=2, params=fault)
    engine.drain()
    assert reason_of(engine, batch_id) == "sample"
    assert view_of(engine, batch_id).counts.jobs.failed == 2


def test_q3_hints_of_a_sample_delivered_again_do_nothing(engine: Engine) -> None:
    batch_id = engine.submit(FIVE, sample=2, params=QUICK)
    engine.drain()
    with engine.store.read() as session:
        jobs = session.exec(select(Job.id).where(Job.batch_id == batch_id)).all()
    for _ in range(20):
        engine.follow(Step.PLAN, (batch_id,))
        engine.follow(Step.ADVANCE, (batch_id, *jobs))
        engine.follow(Step.FINALIZE, (batch_id,))
        engine.follow(Step.RECONCILE, ())
    engine.drain()
    with engine.store.read() as session:
        assert len(session.exec(select(Call)).all()) == 2
        assert sample_events(session) == 1
    assert reason_of(engine, batch_id) == "sample"


def test_q9_a_broker_wiped_at_every_step_of_a_sample_loses_nothing(engine: Engine) -> None:
    batch_id = engine.submit(FIVE, sample=2, params=QUICK)

    def run() -> None:
        for _ in range(8):
            engine.queue.hints.clear()
            hints = reconcile(engine.services)
            engine.queue.hints.clear()
            for hint in hints:
                engine.follow(hint.step, hint.ids)
            engine.pump_once()

    run()
    assert reason_of(engine, batch_id) == "sample"
    assert reconcile(engine.services) == []
    resume(engine.services, engine.account_id, batch_id)
    run()
    with engine.store.read() as session:
        batch = batch_of(session, batch_id)
        assert sample_events(session) == 1
    assert (batch.state, batch.jobs_succeeded) == ("completed", 5)


def test_q1_a_worker_lost_during_a_sample_costs_none_of_it(engine: Engine) -> None:
    batch_id = engine.submit(FIVE, sample=2, params=QUICK)
    engine.drain(carry=lambda _: None)
    engine.lose_worker()
    assert recover_lost_workers(engine.services) == 2
    engine.drain()
    view = view_of(engine, batch_id)
    assert reason_of(engine, batch_id) == "sample"
    assert (view.counts.jobs.succeeded, view.counts.jobs.queued) == (2, 3)


def test_a_resume_before_a_sample_is_done_passes_over_none_of_it(engine: Engine) -> None:
    batch_id = engine.submit(FIVE, sample=2, params=QUICK)
    pause(engine.services, engine.account_id, batch_id)
    engine.drain()
    assert reason_of(engine, batch_id) == "paused"
    for _ in range(2):
        resume(engine.services, engine.account_id, batch_id)
    engine.drain()
    assert reason_of(engine, batch_id) == "sample"
    assert view_of(engine, batch_id).counts.jobs.queued == 3


def test_a_pause_while_a_sample_runs_does_not_hide_its_end(engine: Engine) -> None:
    batch_id = engine.submit(FIVE, sample=2, params=QUICK)
    engine.follow(*engine.queue.hints.popleft())
    flying = engine.claim()
    pause(engine.services, engine.account_id, batch_id)
    record(engine.services, engine.carry_all(flying))
    engine.drain()
    assert reason_of(engine, batch_id) == "sample"
    resume(engine.services, engine.account_id, batch_id)
    engine.drain()
    assert view_of(engine, batch_id).state == "completed"


def test_time_spent_looking_is_not_in_the_pace(engine: Engine) -> None:
    batch_id = engine.submit(FIVE, sample=2, params=QUICK)
    engine.drain()
    with engine.store.transaction() as tx:
        batch = tx.get_one(Batch, batch_id)
        assert batch.paused_at is not None
        batch.started_at = batch.paused_at - timedelta(hours=8, seconds=20)
        batch.paused_at = batch.paused_at - timedelta(hours=8)
    resume(engine.services, engine.account_id, batch_id)
    eta_s = view_of(engine, batch_id).eta_s
    assert eta_s is not None
    # 2 calls took 20 s, and 3 are left.
    assert 29 <= eta_s <= 40


def test_while_a_sample_runs_the_time_left_is_the_sample_s(engine: Engine) -> None:
    batch_id = engine.submit(FIVE, sample=2, params=QUICK)
    engine.follow(*engine.queue.hints.popleft())
    record(engine.services, engine.carry_all(engine.claim(wanted=1)))
    with engine.store.transaction() as tx:
        batch = tx.get_one(Batch, batch_id)
        batch.started_at = engine.store.now(tx) - timedelta(seconds=100)
    eta_s = view_of(engine, batch_id).eta_s
    assert eta_s is not None
    assert 100 <= eta_s <= 110
    engine.drain()


def test_calls_after_a_sample_are_made_only_when_it_is_resumed(engine: Engine) -> None:
    batch_id = engine.submit([f"prompt {n}" for n in range(70)], sample=65, params=QUICK)
    engine.follow(*engine.queue.hints.popleft())
    with engine.store.read() as session:
        assert len(session.exec(select(Call)).all()) == 65
    engine.drain()
    assert reason_of(engine, batch_id) == "sample"
    with engine.store.read() as session:
        assert set(session.exec(select(Call.state)).all()) == {CallState.SUCCEEDED}
