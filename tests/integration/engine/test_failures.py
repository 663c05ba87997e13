"""What the engine does when providers, workers and budgets fail it."""

from collections import Counter

from sqlmodel import select

from app.domain.errors import (
    OutcomeUnknownError,
    ProviderRefusedError,
    ProviderUnavailableError,
)
from app.domain.states import AttemptState, CallState, JobState
from app.models import Attempt, Call, Job, StoredCompletion, Worker
from app.pipeline.outcomes import given_back
from app.pipeline.reconcile import reconcile, recover_lost_workers
from app.pipeline.record import record
from tests.fakes.engine import Engine
from tests.integration.engine.failing import attempts_of, failing, make_due, run_failing, the_call
from tests.integration.engine.test_flow import QUICK, batch_of


def test_p4_a_failing_provider_is_tried_a_bounded_number_of_times(engine: Engine) -> None:
    batch_id = engine.submit(["one"], params=QUICK)
    run_failing(engine, lambda: ProviderUnavailableError("down", reason="server_error"))
    call = the_call(engine)
    assert (call.state, call.reason) == (CallState.FAILED, "server_error")
    assert attempts_of(engine) == [AttemptState.FAILED] * 5
    with engine.store.read() as session:
        batch = batch_of(session, batch_id)
    assert (batch.state, batch.jobs_failed, batch.reserved_nanos) == ("completed", 1, 0)


def test_p3_a_refused_request_is_not_tried_again(engine: Engine) -> None:
    engine.submit(["one"], params=QUICK)
    run_failing(engine, lambda: ProviderRefusedError("no", reason="bad_request"))
    assert attempts_of(engine) == [AttemptState.FAILED]
    assert the_call(engine).reason == "bad_request"


def test_an_answer_that_never_came_is_resent_within_its_bound_and_charged_once(
    engine: Engine,
) -> None:
    batch_id = engine.submit(["one"], params={"max_tokens": 100, **QUICK})
    lost = failing(engine, lambda: OutcomeUnknownError("gone", reason="dropped"))
    for _ in range(2):
        engine.drain(lost)
        make_due(engine)
    engine.drain()
    assert attempts_of(engine) == [AttemptState.UNKNOWN] * 2 + [AttemptState.SUCCEEDED]
    with engine.store.read() as session:
        batch = batch_of(session, batch_id)
        call = session.exec(select(Call)).one()
        completions = session.exec(select(StoredCompletion)).all()
    assert len(completions) == 1
    assert call.attempts == 0
    assert batch.unknown_attempts == 2
    assert batch.possible_duplicate_nanos == 2 * (call.worst_nanos or 0) > 0


def test_unknown_outcomes_end_the_call_when_their_bound_is_passed(engine: Engine) -> None:
    engine.submit(["one"], params=QUICK)
    run_failing(engine, lambda: OutcomeUnknownError("gone", reason="dropped"))
    assert attempts_of(engine) == [AttemptState.UNKNOWN] * 6
    assert the_call(engine).state == CallState.FAILED


def test_at_most_once_never_resends_what_may_have_been_bought(engine: Engine) -> None:
    engine.submit(["one"], params=QUICK, at_most_once=True)
    run_failing(engine, lambda: OutcomeUnknownError("gone", reason="dropped"), turns=2)
    assert attempts_of(engine) == [AttemptState.UNKNOWN]
    assert the_call(engine).reason == "outcome_unknown"


def test_q1_a_lost_workers_calls_are_given_back_and_answered_once(engine: Engine) -> None:
    batch_id = engine.submit(["one", "two"], params={"max_tokens": 100, **QUICK})
    engine.drain(carry=lambda _: None)  # claimed and sent, and then the process is gone
    engine.lose_worker()
    assert recover_lost_workers(engine.services) == 2
    engine.drain()
    with engine.store.read() as session:
        batch = batch_of(session, batch_id)
        states = Counter(session.exec(select(Attempt.state)).all())
        crashes = session.exec(select(Call.crash_count)).all()
        workers = session.exec(select(Worker.id)).all()
    assert (batch.state, batch.jobs_succeeded, batch.unknown_attempts) == ("completed", 2, 2)
    assert states == {AttemptState.UNKNOWN: 2, AttemptState.SUCCEEDED: 2}
    assert crashes == [1, 1]
    assert workers == [engine.worker_id]


def test_q5_a_worker_that_comes_back_too_late_writes_nothing(engine: Engine) -> None:
    batch_id = engine.submit(["one"], params=QUICK)
    engine.follow(*engine.queue.hints.popleft())
    slow = engine.claim()
    late = engine.carry_all(slow)
    engine.lose_worker()
    recover_lost_workers(engine.services)
    engine.drain()
    assert record(engine.services, late) == frozenset()
    with engine.store.read() as session:
        batch = batch_of(session, batch_id)
        assert len(session.exec(select(StoredCompletion)).all()) == 1
    assert batch.jobs_succeeded == 1


def test_q5_of_a_group_only_what_the_worker_still_holds_is_written(engine: Engine) -> None:
    batch_id = engine.submit(["one", "two", "three"], params=QUICK)
    engine.follow(*engine.queue.hints.popleft())
    late = engine.carry_all(engine.claim())
    lost = late[1]
    lost.call.epoch -= 1  # it was given to somebody else, and came back, meanwhile
    kept = {one.call.id for one in late if one is not lost}
    assert record(engine.services, late) == kept
    with engine.store.read() as session:
        batch = batch_of(session, batch_id)
        answered = session.exec(select(StoredCompletion.call_id)).all()
        states = Counter(session.exec(select(Job.state)).all())
    assert set(answered) == kept
    assert states == {JobState.SUCCEEDED: 2, JobState.RUNNING: 1}
    assert (batch.jobs_succeeded, batch.calls_closed) == (2, 2)
    lost.call.epoch += 1
    engine.drain(lambda _: None)
    assert record(engine.services, [lost]) == {lost.call.id}
    engine.drain()
    with engine.store.read() as session:
        assert batch_of(session, batch_id).state == "completed"


def test_a_worker_whose_lease_has_passed_claims_nothing(engine: Engine) -> None:
    engine.submit(["one"], params=QUICK)
    engine.follow(*engine.queue.hints.popleft())
    engine.worker_id = engine.new_worker(lease_s=-1)
    assert engine.claim() == []


def test_q19_a_call_that_kills_its_worker_three_times_is_poison(engine: Engine) -> None:
    engine.submit(["one", "two"], params=QUICK)
    for _ in range(3):
        engine.drain(carry=lambda _: None)
        engine.lose_worker()
        reconcile(engine.services)
        make_due(engine)
    engine.drain()
    with engine.store.read() as session:
        ends = session.exec(select(Call.state, Call.reason)).all()
    assert ends == [(CallState.FAILED, "poison")] * 2


def test_a_call_given_back_before_it_was_sent_counts_for_nothing(engine: Engine) -> None:
    engine.submit(["one"], params=QUICK)
    engine.follow(*engine.queue.hints.popleft())
    record(engine.services, [given_back(one.call, "shutdown") for one in engine.claim()])
    engine.drain()
    call = the_call(engine)
    assert (call.attempts, call.unknowns, call.crash_count) == (0, 0, 0)
    assert attempts_of(engine) == [AttemptState.CANCELLED, AttemptState.SUCCEEDED]
