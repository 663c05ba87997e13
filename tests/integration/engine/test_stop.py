"""A batch whose first calls fail too often ends, and one whose do not goes on."""

from collections import Counter
from collections.abc import Callable

import pytest
from sqlmodel import Session, select

from app.domain.completion import Completion, FinishReason, Usage
from app.domain.errors import ProviderRefusedError, ProviderUnavailableError
from app.domain.states import CallState, JobState
from app.models import Batch, Call, Event, Job, Lane
from app.pipeline.control import cancel
from app.pipeline.outcomes import Finished, answered, erred
from app.pipeline.prepare import Prepared
from app.pipeline.reconcile import reconcile, recover_lost_workers
from app.pipeline.record import record
from app.pipeline.retry import retry
from app.queue import Step
from app.reports.leaderboard import report
from app.reports.progress import batch_view
from app.reports.results import result_page
from tests.fakes.engine import Engine
from tests.integration.engine.failing import make_due
from tests.integration.engine.test_flow import QUICK, batch_of

Carry = Callable[[Prepared], Finished]


def prompts(count: int) -> list[str]:
    return [f"prompt {n}" for n in range(count)]


def no(engine: Engine, one: Prepared) -> Finished:
    """The provider refuses the request: the call has failed."""
    error = ProviderRefusedError("no", reason="bad_request", status_code=400)
    return erred(one.call, error, engine.policy, 1)


def yes(one: Prepared) -> Finished:
    """The model answers, at some cost."""
    done = Completion("Yes.", FinishReason.STOP, Usage(1, 0, 0, 1))
    finished = answered(one.call, done, 1)
    finished.cost_nanos = 1000
    return finished


def declined(one: Prepared) -> Finished:
    """The model answers by declining."""
    return answered(one.call, Completion("", FinishReason.REFUSAL, Usage(1)), 1)


def in_order(engine: Engine, *ends: str) -> Carry:
    """Calls end in this order, `y` or `n`, and all after that as `y`."""
    left = list("".join(ends))
    return lambda one: no(engine, one) if left and left.pop(0) == "n" else yes(one)


def states_of(session: Session, batch_id: str) -> Counter[str]:
    return Counter(session.exec(select(Job.state).where(Job.batch_id == batch_id)).all())


def ended(engine: Engine, batch_id: str) -> Batch:
    with engine.store.read() as session:
        return batch_of(session, batch_id)


def test_a_batch_whose_first_calls_fail_too_often_ends_as_failed(engine: Engine) -> None:
    batch_id = engine.submit(prompts(80), stop_if_failed_percent=10, params=QUICK)
    engine.drain(in_order(engine, "y" * 20, "n" * 6))
    batch = ended(engine, batch_id)
    assert (batch.state, batch.ending) == ("failed", "too_many_failed")
    with engine.store.read() as session:
        jobs = states_of(session, batch_id)
        events = session.exec(select(Event.type).where(Event.batch_id == batch_id)).all()
        view = batch_view(session, engine.account_id, batch_id)
        lines, _ = result_page(session, engine.account_id, batch_id)
        notes = report(session, engine.account_id, batch_id).notes
    assert events == ["batch.failed"]
    assert jobs[JobState.FAILED] == 6
    assert jobs[JobState.CANCELLED] == 80 - 6 - jobs[JobState.SUCCEEDED] > 40
    assert view.ending == "too_many_failed"
    reasons = Counter(line.error.reason for line in lines if line.error is not None)
    assert reasons == {"all_failed": 6, "too_many_failed": jobs[JobState.CANCELLED]}
    assert "The batch ended early: too_many_failed." in notes


@pytest.mark.parametrize(("failures", "state"), [(25, "completed"), (26, "failed")])
def test_as_many_failures_as_allowed_are_not_too_many(
    engine: Engine, failures: int, state: str
) -> None:
    batch_id = engine.submit(prompts(60), stop_if_failed_percent=50, params=QUICK)
    engine.drain(in_order(engine, "yn" * 24, "n" * (failures - 24), "y"))
    assert ended(engine, batch_id).state == state


def test_what_fails_after_the_first_calls_stops_nothing(engine: Engine) -> None:
    batch_id = engine.submit(prompts(80), stop_if_failed_percent=1, params=QUICK)
    engine.drain(in_order(engine, "y" * 50, "n" * 30))
    batch = ended(engine, batch_id)
    assert (batch.state, batch.jobs_succeeded, batch.jobs_failed) == ("completed", 50, 30)
    assert (batch.first_left, batch.first_failed) == (0, 0)


def test_refusals_are_answers(engine: Engine) -> None:
    batch_id = engine.submit(prompts(60), stop_if_failed_percent=1, params=QUICK)
    engine.drain(declined)
    batch = ended(engine, batch_id)
    assert (batch.ending, batch.first_left, batch.first_failed) == (None, 0, 0)


def test_only_calls_count_and_not_their_attempts(engine: Engine) -> None:
    batch_id = engine.submit(prompts(2), stop_if_failed_percent=3, params=QUICK)

    def down(one: Prepared) -> Finished:
        error = ProviderUnavailableError("down", reason="server_error")
        return erred(one.call, error, engine.policy, 1)

    for _ in range(4):
        engine.drain(down)
        make_due(engine)
    assert ended(engine, batch_id).first_left == 50
    engine.drain()
    assert ended(engine, batch_id).state == "completed"


def test_judges_that_fail_are_no_candidates(engine: Engine) -> None:
    batch_id = engine.submit(
        prompts(8),
        mode="judge",
        models=["simulated/gold", "simulated/tin"],
        judge={"judges": ["simulated/judge"]},
        stop_if_failed_percent=1,
        params=QUICK,
    )
    engine.drain(lambda one: no(engine, one) if one.call.role == "judge" else yes(one))
    batch = ended(engine, batch_id)
    assert (batch.ending, batch.first_left, batch.first_failed) == (None, 50 - 16, 0)


@pytest.mark.parametrize(("percent", "state"), [(11, "failed"), (12, "completed")])
def test_a_smaller_batch_ends_once_as_many_failed_as_would_be_too_many_of_fifty(
    engine: Engine, percent: int, state: str
) -> None:
    batch_id = engine.submit(prompts(6), stop_if_failed_percent=percent, params=QUICK)
    engine.drain(lambda one: no(engine, one))
    batch = ended(engine, batch_id)
    assert (batch.state, batch.jobs_failed) == (state, 6)


def test_calls_in_flight_when_it_stops_are_recorded_and_paid_for(engine: Engine) -> None:
    batch_id = engine.submit(
        prompts(20), stop_if_failed_percent=1, budget_usd=1, params={"max_tokens": 10, **QUICK}
    )
    engine.follow(*engine.queue.hints.popleft())
    flying, failing = engine.claim(wanted=3), engine.claim(wanted=1)
    record(engine.services, [no(engine, one) for one in failing])
    assert ended(engine, batch_id).ending == "too_many_failed"
    assert engine.claim() == []
    engine.drain()
    assert ended(engine, batch_id).state == "running"
    assert ended(engine, batch_id).reserved_nanos > 0
    record(engine.services, [yes(one) for one in flying])
    engine.drain()
    batch = ended(engine, batch_id)
    assert (batch.state, batch.spent_nanos, batch.reserved_nanos) == ("failed", 3000, 0)
    assert (batch.jobs_succeeded, batch.jobs_failed, batch.jobs_cancelled) == (3, 1, 16)
    assert (batch.first_left, batch.first_failed) == (49, 1)


def test_jobs_that_were_never_planned_are_cancelled_with_the_rest(engine: Engine) -> None:
    batch_id = engine.submit(prompts(10), sample=2, stop_if_failed_percent=1, params=QUICK)
    engine.drain(lambda one: no(engine, one))
    batch = ended(engine, batch_id)
    assert (batch.state, batch.jobs_failed + batch.jobs_cancelled) == ("failed", 10)


def test_calls_ended_by_a_deleted_key_count_as_failed(engine: Engine) -> None:
    batch_id = engine.submit(prompts(40), stop_if_failed_percent=50, params=QUICK)
    engine.follow(*engine.queue.hints.popleft())
    with engine.store.transaction() as tx:
        tx.exec(select(Lane)).one().state = "closed"
    reconcile(engine.services)
    engine.drain()
    batch = ended(engine, batch_id)
    assert (batch.state, batch.ending, batch.first_failed) == ("failed", "too_many_failed", 40)


def test_q3_a_group_recorded_twice_counts_once(engine: Engine) -> None:
    batch_id = engine.submit(prompts(40), stop_if_failed_percent=50, params=QUICK)
    engine.follow(*engine.queue.hints.popleft())
    group = [no(engine, one) for one in engine.claim(wanted=20)]
    for _ in range(3):
        record(engine.services, group)
    assert ended(engine, batch_id).first_failed == 20
    engine.drain()
    assert ended(engine, batch_id).state == "completed"


def test_q5_a_late_worker_s_failures_are_not_counted_beside_their_second_try(
    engine: Engine,
) -> None:
    batch_id = engine.submit(prompts(30), stop_if_failed_percent=50, params=QUICK)
    engine.follow(*engine.queue.hints.popleft())
    late = [no(engine, one) for one in engine.claim(wanted=30)]
    engine.lose_worker()
    recover_lost_workers(engine.services)
    make_due(engine)
    engine.drain()
    record(engine.services, late)
    batch = ended(engine, batch_id)
    assert (batch.state, batch.first_left, batch.first_failed) == ("completed", 20, 0)


def test_q9_a_stop_whose_message_is_lost_is_found_in_the_store(engine: Engine) -> None:
    batch_id = engine.submit(prompts(20), stop_if_failed_percent=1, params=QUICK)
    engine.follow(*engine.queue.hints.popleft())
    record(engine.services, [no(engine, one) for one in engine.claim(wanted=1)])
    for _ in range(4):
        engine.queue.hints.clear()
        for hint in reconcile(engine.services):
            engine.follow(hint.step, hint.ids)
            engine.follow(hint.step, hint.ids)
    engine.queue.hints.clear()
    batch = ended(engine, batch_id)
    assert (batch.state, batch.jobs_failed, batch.jobs_cancelled) == ("failed", 1, 19)
    assert reconcile(engine.services) == []


def test_a_batch_that_was_cancelled_does_not_also_stop(engine: Engine) -> None:
    batch_id = engine.submit(prompts(20), stop_if_failed_percent=1, params=QUICK)
    engine.follow(*engine.queue.hints.popleft())
    flying = engine.claim()
    cancel(engine.services, engine.account_id, batch_id)
    record(engine.services, [no(engine, one) for one in flying])
    engine.drain()
    batch = ended(engine, batch_id)
    assert (batch.state, batch.ending, batch.first_failed) == ("cancelled", "cancelled", 0)


def test_what_was_stopped_can_be_tried_again(engine: Engine) -> None:
    batch_id = engine.submit(prompts(10), stop_if_failed_percent=1, params=QUICK)
    engine.drain(lambda one: no(engine, one))
    again = retry(engine.services, engine.account_id, batch_id).batch_id
    engine.drain()
    batch = ended(engine, again)
    assert (batch.state, batch.jobs_succeeded, batch.stop_if_failed_percent) == ("completed", 10, 1)


def test_states_of_calls_that_were_not_made_are_cancelled(engine: Engine) -> None:
    engine.submit(prompts(20), stop_if_failed_percent=1, params=QUICK)
    engine.follow(*engine.queue.hints.popleft())
    record(engine.services, [no(engine, one) for one in engine.claim(wanted=1)])
    engine.follow(Step.RECONCILE, ())
    with engine.store.read() as session:
        states = Counter(session.exec(select(Call.state, Call.reason)).all())
    assert states == {
        (CallState.FAILED, "bad_request"): 1,
        (CallState.CANCELLED, "too_many_failed"): 19,
    }
    engine.drain()
