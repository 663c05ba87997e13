"""An earlier answer of the account is used again where just the same is asked, and says so."""

from collections import Counter

import pytest
from sqlmodel import Session, col, select

from app.domain.completion import Completion, FinishReason, Usage
from app.models import Attempt, Backlog, Call, Lane
from app.pipeline.control import cancel
from app.pipeline.outcomes import Finished, answered
from app.pipeline.prepare import Prepared
from app.pipeline.record import record
from app.reports.progress import batch_view
from app.reports.results import result_page
from app.reports.views import CompletionView, ResultLine
from tests.fakes.engine import Carry, Engine
from tests.integration.engine.test_flow import QUICK, batch_of
from tests.integration.engine.test_stop import declined, no

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


def run(engine: Engine, *prompts: str, carry: Carry | None = None, **body: object) -> str:
    """A batch with `cache`, run to its end."""
    batch_id = engine.submit(prompts or ["one", "two"], **{"cache": True, "params": QUICK, **body})
    engine.drain(carry)
    return batch_id


def of_its_own(one: Prepared) -> Finished:
    """An answer that no other call has."""
    return answered(one.call, Completion(one.call.id, FinishReason.STOP, Usage(1, 0, 0, 1)), 1)


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
    first = run(engine, "one", carry=of_its_own, repeats=3)
    answers = texts_of(engine, first)
    assert sent_by(engine, first) == 3
    assert len(set(answers.values())) == 3
    assert texts_of(engine, run(engine, "one", carry=of_its_own, repeats=3)) == answers
    more = run(engine, "one", carry=of_its_own, repeats=5)
    assert sent_by(engine, more) == 2
    found = texts_of(engine, more)
    assert len(set(found.values())) == 5
    assert answers.items() <= found.items()


def test_two_labels_of_one_model_do_not_collapse_into_one_answer(engine: Engine) -> None:
    models = [{"model": "simulated/gold", "label": label} for label in ("a", "b")]
    first = run(engine, "one", carry=of_its_own, models=models)
    second = run(engine, "one", carry=of_its_own, models=models)
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
