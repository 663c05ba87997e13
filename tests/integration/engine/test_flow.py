"""A batch's way through the engine when nothing goes wrong."""

from collections import Counter

import msgspec
import pytest
from sqlmodel import Session, col, select

from app.domain.errors import ConflictError, InvalidRequestError, NotFoundError
from app.domain.spec import BatchBody
from app.domain.states import CallState, JobState
from app.domain.verdict import Verdict
from app.models import Backlog, Batch, Call, Event, Job, StoredText, StoredVerdict, UsageRow
from app.pipeline.control import cancel, pause, resume
from app.pipeline.lines import RawLine
from app.pipeline.record import record
from app.pipeline.retry import retry
from app.pipeline.submit import Submission, submit
from app.queue import Step
from tests.fakes.engine import Engine

QUICK = {"extra": {"simulated": {"latency_ms": 0}}}


def batch_of(session: Session, batch_id: str) -> Batch:
    """The batch as it is now."""
    return session.get_one(Batch, batch_id, populate_existing=True)


def test_every_prompt_of_a_comparison_is_answered_by_every_model(engine: Engine) -> None:
    batch_id = engine.submit(
        ["one", "two", "three"], models=["simulated/gold", "simulated/tin"], params=QUICK
    )
    engine.drain()
    with engine.store.read() as session:
        batch = batch_of(session, batch_id)
        answers = session.exec(select(StoredText).where(StoredText.kind == "answer")).all()
        labels = Counter(session.exec(select(Call.label)).all())
    assert (batch.state, batch.jobs_succeeded, batch.calls_closed) == ("completed", 3, 6)
    assert labels == {"simulated/gold": 3, "simulated/tin": 3}
    assert len(answers) == 6
    assert all(answer.body for answer in answers)


def test_a_judged_batch_ends_with_a_verdict_for_every_job(engine: Engine) -> None:
    batch_id = engine.submit(
        ["one", "two"],
        mode="judge",
        models=["simulated/gold", "simulated/tin"],
        judge={"judges": ["simulated/judge"]},
        params=QUICK | {"seed": 7},  # or gold might once be worse than tin
    )
    engine.drain()
    with engine.store.read() as session:
        verdicts = session.exec(select(StoredVerdict)).all()
        rounds = Counter(session.exec(select(Call.role)).all())
    assert rounds == {"candidate": 4, "judge": 2}
    for stored in verdicts:
        verdict = msgspec.json.decode(stored.body, type=Verdict)
        assert {score.label for score in verdict.scores} == {"simulated/gold", "simulated/tin"}
        assert verdict.winner == stored.winner == "simulated/gold"
    assert {verdict.batch_id for verdict in verdicts} == {batch_id}


def test_repeats_ask_the_same_model_under_labels_of_their_own(engine: Engine) -> None:
    engine.submit(["one"], repeats=3, params=QUICK)
    engine.drain()
    with engine.store.read() as session:
        labels = sorted(session.exec(select(Call.label)).all())
    assert labels == ["simulated/gold#1", "simulated/gold#2", "simulated/gold#3"]


def test_a_closed_batch_says_so_once_and_leaves_no_backlog(engine: Engine) -> None:
    batch_id = engine.submit(["one"], params=QUICK)
    engine.drain()
    engine.follow(Step.FINALIZE, (batch_id,))
    engine.follow(Step.RECONCILE, ())
    engine.drain()
    with engine.store.read() as session:
        events = session.exec(select(Event.type).where(Event.batch_id == batch_id)).all()
        backlog = session.exec(select(Backlog)).all()
    assert events == ["batch.completed"]
    assert backlog == []


def test_the_cost_of_a_batch_is_the_sum_of_its_usage(engine: Engine) -> None:
    batch_id = engine.submit(["one", "two"], params=QUICK)
    engine.drain()
    with engine.store.read() as session:
        costs = session.exec(select(UsageRow.cost_nanos)).all()
        batch = batch_of(session, batch_id)
    assert all(cost is not None and cost > 0 for cost in costs)
    assert batch.spent_nanos == sum(cost or 0 for cost in costs)
    assert batch.reserved_nanos == 0


def test_q3_a_hint_delivered_again_does_nothing(engine: Engine) -> None:
    batch_id = engine.submit(["one", "two"], params=QUICK)
    engine.drain()
    with engine.store.read() as session:
        jobs = session.exec(select(Job.id)).all()
    engine.follow(Step.PLAN, (batch_id,))
    for _ in range(50):
        engine.follow(Step.ADVANCE, (batch_id, *jobs))
    engine.drain()
    with engine.store.read() as session:
        assert len(session.exec(select(Call)).all()) == 2
        assert batch_of(session, batch_id).jobs_succeeded == 2


def test_q21_hints_for_unknown_or_foreign_ids_are_ignored(engine: Engine) -> None:
    batch_id = engine.submit(["one"], params=QUICK)
    other_id = engine.submit(["two"], params=QUICK)
    engine.drain()
    with engine.store.read() as session:
        foreign = session.exec(select(Job.id).where(Job.batch_id == other_id)).all()
    engine.follow(Step.PLAN, ("batch_nothing",))
    engine.follow(Step.FINALIZE, ("batch_nothing",))
    engine.follow(Step.ADVANCE, ("batch_nothing", "job_nothing"))
    engine.follow(Step.ADVANCE, (batch_id, *foreign))
    engine.follow(Step.DELIVER, ("dlv_nothing",))
    with engine.store.read() as session:
        assert batch_of(session, batch_id).jobs_succeeded == 1


def test_the_same_key_and_body_is_the_same_batch_and_another_body_a_conflict(
    engine: Engine,
) -> None:
    def send(prompt: bytes, digest: str) -> tuple[str, bool]:
        body = BatchBody.model_validate({"mode": "chat", "models": ["simulated/gold"]})
        lines = [RawLine("jobs[0]", b'{"prompt":"%s"}' % prompt)]
        done = submit(
            engine.services,
            Submission(engine.account_id, body, lines, idempotency_key="k", body_sha256=digest),
        )
        return done.batch_id, done.created

    first = send(b"one", "1")
    assert first[1] is True
    assert send(b"one", "1") == (first[0], False)
    with pytest.raises(ConflictError):
        send(b"two", "2")


def test_i11_one_bad_line_rejects_the_whole_batch_and_is_named(engine: Engine) -> None:
    body = BatchBody.model_validate({"mode": "chat", "models": ["simulated/gold"]})
    lines = [RawLine(f"line {n}", b'{"prompt":"x"}') for n in range(1, 5000)]
    lines.append(RawLine("line 5000", b'{"prompt":1}'))
    with pytest.raises(InvalidRequestError, match=r"line 5000\.prompt: expected `str"):
        submit(engine.services, Submission(engine.account_id, body, lines))
    with engine.store.read() as session:
        assert session.exec(select(Batch)).all() == []
        assert session.exec(select(Job)).all() == []


def test_a_cancelled_batch_sends_nothing_more_and_records_what_is_in_flight(
    engine: Engine,
) -> None:
    batch_id = engine.submit(["one", "two", "three"], params=QUICK)
    engine.follow(*engine.queue.hints.popleft())
    flying = engine.claim(wanted=1)
    cancel(engine.services, engine.account_id, batch_id)
    assert engine.claim() == []
    engine.drain(carry=lambda _: None)
    record(engine.services, engine.carry_all(flying))
    engine.drain()
    with engine.store.read() as session:
        batch = batch_of(session, batch_id)
        states = Counter(session.exec(select(Call.state)).all())
    assert batch.state == "cancelled"
    assert states == {CallState.SUCCEEDED: 1, CallState.CANCELLED: 2}
    assert (batch.jobs_succeeded, batch.jobs_cancelled) == (1, 2)
    assert batch.spent_nanos > 0


def test_a_batch_cancelled_before_it_was_planned_closes_all_its_jobs(engine: Engine) -> None:
    batch_id = engine.submit(["one", "two"], params=QUICK)
    cancel(engine.services, engine.account_id, batch_id)
    engine.drain()
    with engine.store.read() as session:
        assert batch_of(session, batch_id).state == "cancelled"
        assert set(session.exec(select(Job.state)).all()) == {JobState.CANCELLED}
    with pytest.raises(ConflictError):
        resume(engine.services, engine.account_id, batch_id)


def test_a_paused_batch_waits_and_goes_on_when_resumed(engine: Engine) -> None:
    batch_id = engine.submit(["one", "two"], params=QUICK)
    engine.follow(*engine.queue.hints.popleft())
    pause(engine.services, engine.account_id, batch_id)
    assert engine.claim() == []
    resume(engine.services, engine.account_id, batch_id)
    engine.drain()
    with engine.store.read() as session:
        assert batch_of(session, batch_id).state == "completed"


def test_another_account_cannot_steer_a_batch(engine: Engine) -> None:
    batch_id = engine.submit(["one"], params=QUICK)
    stranger = engine.new_account()
    for act in (cancel, pause, resume, retry):
        with pytest.raises(NotFoundError):
            act(engine.services, stranger, batch_id)


def test_a_retry_is_a_new_batch_of_the_jobs_that_did_not_succeed(engine: Engine) -> None:
    batch_id = engine.submit(["one", "two", "three"], params=QUICK)
    engine.follow(*engine.queue.hints.popleft())
    record(engine.services, engine.carry_all(engine.claim(wanted=1)))
    cancel(engine.services, engine.account_id, batch_id)
    engine.drain()
    again = retry(engine.services, engine.account_id, batch_id)
    engine.drain()
    with engine.store.read() as session:
        batch = batch_of(session, again.batch_id)
        jobs = session.exec(
            select(Job.custom_id).where(Job.batch_id == batch.id).order_by(col(Job.position))
        ).all()
    assert (batch.retry_of, batch.state, batch.jobs_succeeded) == (batch_id, "completed", 2)
    assert jobs == ["c1", "c2"]
    with pytest.raises(ConflictError):
        retry(engine.services, engine.account_id, again.batch_id)
