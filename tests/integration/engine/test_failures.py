"""What the engine does when providers, workers and budgets fail it."""

from collections import Counter
from collections.abc import Callable
from datetime import timedelta

import pytest
from sqlmodel import select

from app.domain.errors import (
    OutcomeUnknownError,
    ProviderError,
    ProviderKeyRefusedError,
    ProviderRateLimitedError,
    ProviderRefusedError,
    ProviderUnavailableError,
)
from app.domain.states import AttemptState, CallState, LaneState
from app.models import Attempt, Backlog, Batch, Call, Lane, StoredCompletion, Worker
from app.pipeline.backlog import due_backlog, note_wait
from app.pipeline.dispatch import Prepared
from app.pipeline.outcomes import Finished, erred, given_back
from app.pipeline.park import park_lane
from app.pipeline.reconcile import reconcile, recover_lost_workers
from app.pipeline.record import record
from app.queue import Step
from tests.fakes.engine import Engine
from tests.integration.engine.test_flow import QUICK, batch_of


def make_due(engine: Engine) -> None:
    """Let every wait be over."""
    with engine.store.transaction() as tx:
        for model in (Call, Backlog):
            for row in tx.exec(select(model)):
                row.due_at = row.due_at - timedelta(days=1)


def failing(engine: Engine, make: Callable[[], ProviderError]) -> Callable[[Prepared], Finished]:
    """A provider that always fails in this way."""
    return lambda one: erred(one.call, make(), engine.policy, 5)


def run_failing(engine: Engine, make: Callable[[], ProviderError], turns: int = 20) -> None:
    """Send until nothing is left to send, with all waits over at once."""
    for _ in range(turns):
        engine.drain(failing(engine, make))
        make_due(engine)
    engine.drain(failing(engine, make))


def the_call(engine: Engine) -> Call:
    """The one call there is."""
    with engine.store.read() as session:
        return session.exec(select(Call)).one()


def attempts_of(engine: Engine) -> list[str]:
    """How the attempts of the one call ended, in order."""
    with engine.store.read() as session:
        return list(session.exec(select(Attempt.state).order_by(Attempt.epoch)).all())  # type: ignore[arg-type]


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


def test_p1_a_rate_limit_costs_no_attempt_and_is_waited_for(engine: Engine) -> None:
    engine.submit(["one"], params=QUICK)
    limited = failing(engine, lambda: ProviderRateLimitedError("slow down", retry_after_s=30))
    engine.drain(limited)
    for _ in range(7):
        make_due(engine)
        engine.drain(limited)
    call = the_call(engine)
    assert (call.state, call.attempts, call.wait_reason) == (CallState.QUEUED, 0, "rate_limited")
    with engine.store.read() as session:
        wait = (call.due_at - engine.store.now(session)).total_seconds()
    assert 25 < wait <= 31
    make_due(engine)
    engine.drain()
    assert the_call(engine).state == CallState.SUCCEEDED


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
    assert record(engine.services, late).written == frozenset()
    with engine.store.read() as session:
        batch = batch_of(session, batch_id)
        assert len(session.exec(select(StoredCompletion)).all()) == 1
    assert batch.jobs_succeeded == 1


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


def test_a_spent_budget_ends_the_batch_and_is_never_exceeded(engine: Engine) -> None:
    batch_id = engine.submit(
        [f"prompt {n}" for n in range(40)],
        budget_usd=0.04,
        params={"max_tokens": 100, "extra": {"simulated": {"latency_ms": 0, "output_tokens": 100}}},
    )
    engine.drain()
    with engine.store.read() as session:
        batch = batch_of(session, batch_id)
        reasons = Counter(session.exec(select(Call.reason)).all())
    assert batch.state == "completed"
    assert batch.ending == "budget_exhausted"
    assert 0 < batch.jobs_succeeded < 40
    assert reasons["budget_exhausted"] == 40 - batch.jobs_succeeded
    assert batch.cap_nanos is not None
    assert batch.spent_nanos <= batch.cap_nanos
    assert batch.overrun_nanos == 0


def test_a_budget_with_no_room_for_one_call_sends_nothing(engine: Engine) -> None:
    batch_id = engine.submit(["one"], budget_usd=0.000001, params=QUICK)
    engine.drain()
    with engine.store.read() as session:
        batch = batch_of(session, batch_id)
    assert (batch.state, batch.jobs_failed, batch.spent_nanos) == ("failed", 1, 0)
    assert engine.carried == []


def test_a_passed_deadline_keeps_what_finished_and_expires_the_rest(engine: Engine) -> None:
    batch_id = engine.submit(["one", "two"], params=QUICK)
    engine.follow(*engine.queue.hints.popleft())
    record(engine.services, engine.carry_all(engine.claim(wanted=1)))
    with engine.store.transaction() as tx:
        tx.get_one(Batch, batch_id).deadline = engine.store.now(tx) - timedelta(seconds=1)
    engine.queue.send(Step.RECONCILE)
    engine.drain(carry=lambda _: pytest.fail("nothing is sent after the deadline"))
    with engine.store.read() as session:
        batch = batch_of(session, batch_id)
    assert (batch.state, batch.jobs_succeeded, batch.jobs_expired) == ("expired", 1, 1)


def test_a_refused_key_parks_the_lane_for_everybody_and_says_so_once(engine: Engine) -> None:
    engine.submit(["one", "two"], params=QUICK)
    engine.follow(*engine.queue.hints.popleft())
    calls = engine.claim(wanted=1)
    refused = failing(engine, lambda: ProviderKeyRefusedError("no", reason="unauthorized"))
    record(engine.services, [refused(one) for one in calls])
    lane_id = calls[0].call.lane_id
    assert park_lane(engine.services, lane_id, None, "unauthorized") is True
    assert park_lane(engine.services, lane_id, None, "unauthorized") is False
    make_due(engine)
    assert engine.claim() == []


def test_calls_of_a_lane_parked_too_long_end_as_provider_unavailable(engine: Engine) -> None:
    batch_id = engine.submit(["one", "two"], params=QUICK)
    engine.follow(*engine.queue.hints.popleft())
    with engine.store.transaction() as tx:
        lane = tx.exec(select(Lane)).one()
        lane.state = LaneState.PARKED.value
        lane.parked_at = engine.store.now(tx) - timedelta(hours=2)
        for call in tx.exec(select(Call)):
            call.created_at = call.created_at - timedelta(hours=2)
    engine.queue.send(Step.RECONCILE)
    engine.drain()
    with engine.store.read() as session:
        reasons = set(session.exec(select(Call.reason)).all())
        assert batch_of(session, batch_id).state == "failed"
    assert reasons == {"provider_unavailable"}


def test_calls_that_wait_for_a_failing_provider_too_long_end_and_others_do_not(
    engine: Engine,
) -> None:
    batch_id = engine.submit(
        ["one", "two"], models=["simulated/gold", "simulated/tin"], params=QUICK
    )
    engine.follow(*engine.queue.hints.popleft())
    for entry in due_backlog(engine.store):
        if entry.model == "gold":
            note_wait(engine.store, entry, "circuit_open", counts=True)
    with engine.store.transaction() as tx:
        for call in tx.exec(select(Call)):
            call.created_at = call.created_at - timedelta(hours=2)
        for row in tx.exec(select(Backlog)):
            row.waiting_since = row.waiting_since and row.waiting_since - timedelta(hours=2)
    engine.queue.send(Step.RECONCILE)
    engine.drain()
    with engine.store.read() as session:
        ends = Counter(session.exec(select(Call.model, Call.state, Call.reason)).all())
        batch = batch_of(session, batch_id)
    assert ends == {
        ("gold", CallState.FAILED, "provider_unavailable"): 2,
        ("tin", CallState.SUCCEEDED, None): 2,
    }
    assert (batch.state, batch.jobs_succeeded) == ("completed", 2)


def test_a_wait_that_is_over_is_forgotten(engine: Engine) -> None:
    engine.submit(["one"], params=QUICK)
    engine.follow(*engine.queue.hints.popleft())
    (entry,) = due_backlog(engine.store)
    note_wait(engine.store, entry, "circuit_open", counts=True)
    (entry,) = due_backlog(engine.store)
    assert entry.noted
    note_wait(engine.store, entry, None)
    (entry,) = due_backlog(engine.store)
    assert not entry.noted
    engine.drain()


def test_k8_deleting_a_key_ends_its_queued_calls_with_a_reason(engine: Engine) -> None:
    batch_id = engine.submit(["one", "two"], params=QUICK)
    engine.follow(*engine.queue.hints.popleft())
    with engine.store.transaction() as tx:
        tx.exec(select(Lane)).one().state = LaneState.CLOSED.value
    assert engine.claim() == []
    engine.queue.send(Step.RECONCILE)
    engine.drain()
    with engine.store.read() as session:
        assert set(session.exec(select(Call.reason)).all()) == {"key_deleted"}
        assert batch_of(session, batch_id).state == "failed"
    assert engine.carried == []
