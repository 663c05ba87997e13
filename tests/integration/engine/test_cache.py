"""An earlier answer of the account is used again where just the same is asked, and says so."""

from collections import Counter

import msgspec
import pytest
from sqlmodel import Session, col, select

from app.billing.ledger import balance_of, grant
from app.domain.errors import UnavailableError
from app.domain.states import CallState
from app.models import Attempt, Backlog, Call, Job, Lane, StoredText, UsageRow
from app.pipeline import reuse
from app.pipeline.control import cancel
from app.pipeline.plan import plan
from app.pipeline.reconcile import reconcile
from app.pipeline.record import record
from app.pipeline.retry import retry
from app.queue import Step
from app.reports.leaderboard import report
from app.reports.progress import batch_view
from app.reports.results import result_page
from app.reports.views import CompletionView, ResultLine
from tests.factories.rows import make_lane
from tests.fakes.engine import Engine
from tests.integration.engine.test_flow import QUICK, batch_of
from tests.integration.engine.test_stop import declined, no, yes

TWO = ["simulated/gold", "simulated/tin"]
JUDGED = {"mode": "judge", "models": TWO, "judge": {"judges": ["simulated/judge"]}}
BLENDED = {"mode": "blend", "models": TWO}
SELF_MOA = {
    "mode": "blend",
    "models": ["simulated/gold"],
    "blend": {"strategy": "self_moa", "samples": 6},
}
MESHED = {"mode": "mesh", "models": ["simulated/gold"], "mesh": {"fallback": ["simulated/tin"]}}


def lines_of(engine: Engine, batch_id: str) -> list[ResultLine]:
    with engine.store.read() as session:
        lines, _ = result_page(session, engine.account_id, batch_id)
    return lines


def completions_of(engine: Engine, batch_id: str) -> list[CompletionView]:
    return [one for line in lines_of(engine, batch_id) for one in line.completions]


def texts_of(engine: Engine, batch_id: str) -> dict[tuple[str, str, str], str | None]:
    """Every answer, by job, role and label."""
    return {
        (line.custom_id, one.role, one.label): one.text
        for line in lines_of(engine, batch_id)
        for one in line.completions
    }


def run(engine: Engine, *prompts: str, **body: object) -> str:
    """A batch with `cache`, run to its end."""
    batch_id = engine.submit(prompts or ["one", "two"], **{"cache": True, "params": QUICK, **body})
    engine.drain()
    return batch_id


def sent_by(engine: Engine, batch_id: str) -> int:
    """How many of a batch's calls were ever claimed."""
    with engine.store.read() as session:
        statement = select(Call.id).where(Call.batch_id == batch_id, col(Call.epoch) > 0)
        return len(session.exec(statement).all())


def attempts_in(session: Session, batch_id: str) -> int:
    statement = select(Attempt).join(Call, col(Call.id) == Attempt.call_id)
    return len(session.exec(statement.where(Call.batch_id == batch_id)).all())


def test_what_was_asked_before_is_answered_at_once_and_costs_nothing(engine: Engine) -> None:
    first = run(engine, models=TWO)
    second = run(engine, models=TWO)
    assert texts_of(engine, second) == texts_of(engine, first)
    assert (sent_by(engine, first), sent_by(engine, second)) == (4, 0)
    for one in completions_of(engine, first):
        assert not one.cached
    for one in completions_of(engine, second):
        assert one.usage is not None
        assert (one.cached, one.billed, one.cost_nanos, one.attempts) == (True, "cached", 0, 0)
        assert (one.state, one.finish_reason, one.latency_ms) == ("succeeded", "stop", 0)
        assert (one.usage.input_tokens, one.usage.output_tokens) == (0, 0)
    with engine.store.read() as session:
        batch = batch_of(session, second)
        assert attempts_in(session, second) == 0
        assert session.exec(select(Backlog)).all() == []
    assert (batch.state, batch.jobs_succeeded, batch.spent_nanos) == ("completed", 2, 0)
    assert (batch.calls_total, batch.calls_closed, batch.calls_cached) == (4, 4, 4)


def test_a_batch_without_cache_neither_gives_nor_takes(engine: Engine) -> None:
    plain = run(engine, cache=False)
    with engine.store.read() as session:
        assert set(session.exec(select(Call.cache_key)).all()) == {None}
    assert sent_by(engine, run(engine)) == 2
    assert sent_by(engine, run(engine, cache=False)) == 2
    assert sent_by(engine, plain) == 2


def test_only_what_was_not_asked_before_is_sent(engine: Engine) -> None:
    first = run(engine, "one", "two")
    second = run(engine, "two", "three", models=TWO)
    was, now = texts_of(engine, first), texts_of(engine, second)
    assert now["c0", "candidate", "simulated/gold"] == was["c1", "candidate", "simulated/gold"]
    cached = Counter((one.label, one.cached) for one in completions_of(engine, second))
    assert cached == {
        ("simulated/gold", True): 1,
        ("simulated/gold", False): 1,
        ("simulated/tin", False): 2,
    }
    with engine.store.read() as session:
        batch = batch_of(session, second)
        view = batch_view(session, engine.account_id, second)
    assert (batch.state, batch.jobs_succeeded, batch.calls_cached) == ("completed", 2, 1)
    assert (view.cache, view.counts.calls.cached) == (True, 1)


@pytest.mark.parametrize(
    "body",
    [
        {"models": ["simulated/silver"]},
        {"params": {"temperature": 0.5, **QUICK}},
        {"params": {"max_tokens": 500, **QUICK}},
        {"params": {"stop": ["x"], **QUICK}},
        {"params": {"response_format": {"type": "json_object"}, **QUICK}},
        {"params": {"extra": {"simulated": {"latency_ms": 0, "noise": 0.5}}}},
        {"budget_usd": 1},  # which has a bound sent
    ],
)
def test_whatever_is_sent_differently_is_another_question(
    engine: Engine, body: dict[str, object]
) -> None:
    run(engine, "one")
    assert sent_by(engine, run(engine, "one", **body)) == 1


def test_a_label_is_nothing_that_is_asked(engine: Engine) -> None:
    run(engine, "one")
    other = run(engine, "one", models=[{"model": "simulated/gold", "label": "mine"}])
    assert sent_by(engine, other) == 0


def test_a12_nothing_crosses_accounts(engine: Engine) -> None:
    run(engine, "one")
    engine.account_id = engine.new_account()
    assert sent_by(engine, run(engine, "one")) == 1


def test_another_server_s_answer_is_not_this_one_s(engine: Engine) -> None:
    run(engine, "one")
    with engine.store.transaction() as tx:
        tx.exec(select(Lane)).one().base_url = "http://127.0.0.1:9999/v1"
    assert sent_by(engine, run(engine, "one")) == 1


def test_repeats_are_answers_of_their_own_and_each_finds_its_own_again(engine: Engine) -> None:
    first = run(engine, "one", repeats=3)
    answers = texts_of(engine, first)
    assert sent_by(engine, first) == 3
    assert len(set(answers.values())) == 3
    assert texts_of(engine, run(engine, "one", repeats=3)) == answers
    more = run(engine, "one", repeats=5)
    assert sent_by(engine, more) == 2
    found = texts_of(engine, more)
    assert len(set(found.values())) == 5
    assert answers.items() <= found.items()


def test_two_labels_of_one_model_do_not_collapse_into_one_answer(engine: Engine) -> None:
    models = [{"model": "simulated/gold", "label": label} for label in ("a", "b")]
    first = run(engine, "one", models=models)
    second = run(engine, "one", models=models)
    assert texts_of(engine, second) == texts_of(engine, first)
    assert len(set(texts_of(engine, second).values())) == 2


def test_failures_and_refusals_are_asked_again(engine: Engine) -> None:
    engine.submit(["one", "two"], cache=True, params=QUICK)
    engine.drain(declined)
    engine.submit(["three"], cache=True, params=QUICK)
    engine.drain(lambda one: no(engine, one))
    again = run(engine, "one", "two", "three")
    assert sent_by(engine, again) == 3
    assert {one.state for one in completions_of(engine, again)} == {"succeeded"}


def test_what_is_still_under_way_is_not_waited_for(engine: Engine) -> None:
    engine.submit(["one"], cache=True, params=QUICK)
    engine.follow(*engine.queue.hints.popleft())
    flying = engine.claim()
    second = run(engine, "one")
    assert sent_by(engine, second) == 1
    record(engine.services, engine.carry_all(flying))
    engine.drain()
    # Of two answers it is the first that was asked for, however often that is asked.
    third, fourth = run(engine, "one"), run(engine, "one")
    assert texts_of(engine, third) == texts_of(engine, fourth)
    assert sent_by(engine, third) == 0


def test_a_cancelled_batch_s_answers_are_used_again(engine: Engine) -> None:
    batch_id = engine.submit(["one", "two"], cache=True, params=QUICK)
    engine.follow(*engine.queue.hints.popleft())
    record(engine.services, engine.carry_all(engine.claim(wanted=1)))
    cancel(engine.services, engine.account_id, batch_id)
    engine.drain()
    assert sent_by(engine, run(engine, "one", "two")) == 1


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


def test_many_jobs_are_answered_by_a_few_statements(engine: Engine) -> None:
    prompts = [f"prompt {n}" for n in range(300)]
    run(engine, *prompts)
    second = run(engine, *prompts)
    with engine.store.read() as session:
        batch = batch_of(session, second)
        states = Counter(session.exec(select(Call.state)).all())
    assert (batch.state, batch.jobs_succeeded, batch.calls_cached) == ("completed", 300, 300)
    assert states == {CallState.SUCCEEDED: 600}
