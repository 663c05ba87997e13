"""Earlier answers on their way through the engine: every round, crashes, budgets and reports."""

from collections import Counter

import msgspec
import pytest
import sqlalchemy as sa
from sqlmodel import select

from app.billing.ledger import balance_of, grant
from app.domain.errors import UnavailableError
from app.domain.states import CallState
from app.models import Backlog, Call, Job, StoredText, UsageRow
from app.pipeline import reuse
from app.pipeline.control import cancel
from app.pipeline.plan import plan
from app.pipeline.reconcile import reconcile
from app.pipeline.record import record
from app.pipeline.retry import retry
from app.queue import Step
from app.reports.leaderboard import report
from app.reports.progress import batch_view
from tests.factories.rows import make_lane
from tests.fakes.engine import Engine
from tests.integration.engine.test_cache import TWO, completions_of, lines_of, run, sent_by
from tests.integration.engine.test_flow import QUICK, batch_of
from tests.integration.engine.test_stop import yes

JUDGED = {"mode": "judge", "models": TWO, "judge": {"judges": ["simulated/judge"]}}
BLENDED = {"mode": "blend", "models": TWO}
SELF_MOA = {
    "mode": "blend",
    "models": ["simulated/gold"],
    "blend": {"strategy": "self_moa", "samples": 6},
}
MESHED = {"mode": "mesh", "models": ["simulated/gold"], "mesh": {"fallback": ["simulated/tin"]}}


@pytest.mark.parametrize(("body", "calls"), [(JUDGED, 3), (BLENDED, 3), (SELF_MOA, 7), (MESHED, 1)])
def test_every_round_of_a_mode_is_answered_from_earlier_ones(
    engine: Engine, body: dict[str, object], calls: int
) -> None:
    first = run(engine, "one", **body)
    second = run(engine, "one", **body)
    assert (sent_by(engine, first), sent_by(engine, second)) == (calls, 0)
    was, now = lines_of(engine, first)[0], lines_of(engine, second)[0]
    assert now.state == "succeeded"
    assert now.verdict == was.verdict
    assert now.synthesis == was.synthesis
    assert [one.text for one in now.completions] == [one.text for one in was.completions]
    assert {one.billed for one in now.completions} == {"cached"}
    if body is MESHED:
        route = msgspec.json.decode(now.route or b"")
        assert [(step["outcome"], step["latency_ms"]) for step in route] == [("succeeded", None)]


def test_judges_of_answers_that_are_new_are_asked_anew(engine: Engine) -> None:
    run(engine, "one", **JUDGED)
    other = run(engine, "one", **{**JUDGED, "models": ["simulated/gold", "simulated/silver"]})
    roles = Counter((one.role, one.cached) for one in completions_of(engine, other))
    assert roles == {("candidate", True): 1, ("candidate", False): 1, ("judge", False): 1}


def test_a_job_that_waits_for_some_of_its_answers_has_the_others(engine: Engine) -> None:
    run(engine, "one")
    batch_id = engine.submit(["one"], models=TWO, cache=True, params=QUICK)
    engine.follow(*engine.queue.hints.popleft())
    with engine.store.read() as session:
        job = session.exec(select(Job).where(Job.batch_id == batch_id)).one()
        models = [row.model for row in session.exec(select(Backlog))]
    assert (job.state, job.outstanding, models) == ("running", 1, ["tin"])
    assert [one.label for one in completions_of(engine, batch_id)] == ["simulated/gold"]
    engine.drain()


def test_cached_calls_are_no_first_calls_that_could_fail(engine: Engine) -> None:
    run(engine, "one", "two")
    batch_id = run(engine, "one", "two", "three", stop_if_failed_percent=1)
    with engine.store.read() as session:
        batch = batch_of(session, batch_id)
    assert (batch.first_left, batch.first_failed) == (49, 0)


def test_a_sample_of_earlier_answers_is_done_without_a_call(engine: Engine) -> None:
    run(engine, "one", "two")
    batch_id = run(engine, "one", "two", "three", sample=2)
    with engine.store.read() as session:
        view = batch_view(session, engine.account_id, batch_id)
    assert view.waiting_on is not None
    assert (view.waiting_on.reason, view.counts.jobs.succeeded) == ("sample", 2)
    assert sent_by(engine, batch_id) == 0


def test_a_retry_pays_only_for_what_is_missing(engine: Engine) -> None:
    batch_id = engine.submit(["one"], cache=True, params=QUICK, **JUDGED)
    engine.follow(*engine.queue.hints.popleft())
    for _ in range(2):
        record(engine.services, engine.carry_all(engine.claim()))
    cancel(engine.services, engine.account_id, batch_id)
    engine.drain()
    again = retry(engine.services, engine.account_id, batch_id).batch_id
    engine.drain()
    with engine.store.read() as session:
        batch = batch_of(session, again)
    assert (batch.jobs_succeeded, batch.calls_cached, sent_by(engine, again)) == (1, 2, 1)


def test_neither_budget_nor_credits_are_touched(engine: Engine) -> None:
    with engine.store.transaction() as tx:
        make_lane(tx, None, "openai")
        grant(tx, engine.store, engine.account_id, 10**12, idempotency_key="g")
    body = {"models": ["openai/gpt-4o"], "cache": True, "budget_usd": 5}
    engine.submit(["one", "two"], **body)
    engine.drain(yes)
    with engine.store.read() as session:
        before = balance_of(session, engine.account_id)
    assert before.spent_nanos == 2000
    second = engine.submit(["one", "two"], **body)
    engine.drain(lambda _: pytest.fail("nothing is to be sent"))
    with engine.store.read() as session:
        after, batch = balance_of(session, engine.account_id), batch_of(session, second)
        billed = Counter(session.exec(select(UsageRow.billed)).all())
    assert after == before
    assert (batch.spent_nanos, batch.reserved_nanos, batch.held_nanos) == (0, 0, 0)
    assert billed == {"credits": 2, "cached": 2}


def test_a_report_says_how_many_answers_were_used_again(engine: Engine) -> None:
    run(engine, "one")
    batch_id = run(engine, "one")
    with engine.store.read() as session:
        found = report(session, engine.account_id, batch_id)
    assert any(note.startswith("Used again: 1 answer of earlier calls.") for note in found.notes)
    [row] = found.leaderboard
    assert (row.answered, row.cost_nanos, row.latency_p50_ms) == (1, 0, None)


def test_q3_messages_of_a_cached_batch_delivered_again_do_nothing(engine: Engine) -> None:
    run(engine, **JUDGED)
    batch_id = engine.submit(["one", "two"], cache=True, params=QUICK, **JUDGED)
    while engine.queue.hints:
        step, ids = engine.queue.hints.popleft()
        for _ in range(5):
            engine.follow(step, ids)
    with engine.store.read() as session:
        batch = batch_of(session, batch_id)
    assert (batch.state, batch.jobs_succeeded) == ("completed", 2)
    assert (batch.calls_total, batch.calls_cached) == (6, 6)


def test_q9_lost_messages_of_a_cached_batch_are_found_in_the_store(engine: Engine) -> None:
    run(engine, **JUDGED)
    batch_id = engine.submit(["one", "two"], cache=True, params=QUICK, **JUDGED)
    for _ in range(6):
        engine.queue.hints.clear()
        hints = reconcile(engine.services)
        for hint in hints:
            engine.queue.hints.clear()
            engine.follow(hint.step, hint.ids)
    with engine.store.read() as session:
        batch = batch_of(session, batch_id)
    assert (batch.state, batch.jobs_succeeded, batch.calls_cached) == ("completed", 2, 6)
    assert engine.claim() == []


def test_q4_an_answer_that_goes_away_meanwhile_leaves_nothing_half_done(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = run(engine, "one")
    batch_id = engine.submit(["one"], cache=True, params=QUICK)
    find = reuse.find_answers

    def find_and_purge(tx, store, account_id, keys):  # type: ignore[no-untyped-def]
        found = find(tx, store, account_id, keys)
        for text in tx.exec(select(StoredText).where(StoredText.batch_id == first)):
            tx.delete(text)
        tx.flush()
        return found

    monkeypatch.setattr("app.pipeline.calls.find_answers", find_and_purge)
    with pytest.raises(UnavailableError):
        plan(engine.services, batch_id)
    with engine.store.read() as session:
        assert session.exec(select(Call).where(Call.batch_id == batch_id)).all() == []
    monkeypatch.undo()
    engine.follow(Step.PLAN, (batch_id,))
    engine.drain()
    with engine.store.read() as session:
        assert batch_of(session, batch_id).state == "completed"


def test_answers_are_looked_up_once_for_a_chunk_of_jobs(engine: Engine) -> None:
    prompts = [f"prompt {n}" for n in range(300)]
    run(engine, *prompts)
    looked_up = []

    def note(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        if "cache_key = d.wanted" in statement:
            looked_up.append(statement)

    sa.event.listen(engine.store.engine, "before_cursor_execute", note)
    second = run(engine, *prompts)
    sa.event.remove(engine.store.engine, "before_cursor_execute", note)
    assert len(looked_up) == 2  # the first 64 jobs, and all others
    with engine.store.read() as session:
        batch = batch_of(session, second)
        states = Counter(session.exec(select(Call.state)).all())
    assert (batch.state, batch.jobs_succeeded, batch.calls_cached) == ("completed", 300, 300)
    assert states == {CallState.SUCCEEDED: 600}
