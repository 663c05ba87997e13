"""Result lines: their fields, their order and their cursor."""

from typing import Any

import msgspec
import pytest

from app.db import Store
from app.domain.errors import NotFoundError
from app.models import Account, Batch
from app.reports.results import Selection, result_page, stream_results
from app.reports.views import CompletionView, ErrorView, ResultLine
from tests.factories import Answer, make_batch, make_call, make_job, make_verdict
from tests.factories.bulk import make_big_batch
from tests.factories.plans import make_judge_plan, make_plan

CLOSED = Selection(only_closed=True)


def lines_of(store: Store, account: Account, batch: Batch) -> list[ResultLine]:
    with store.read() as session:
        lines, cursor = result_page(session, account.id, batch.id)
    assert cursor is None
    return lines


def the_completion(store: Store, account: Account, **call: Any) -> CompletionView:
    """The one completion of a batch with this call."""
    with store.transaction() as tx:
        batch = make_batch(tx, account, make_plan("chat", "simulated/a"))
        make_call(tx, make_job(tx, batch), **call)
    return lines_of(store, account, batch)[0].completions[0]


def test_a_line_is_written_byte_for_byte_as_documented(store: Store, account: Account) -> None:
    with store.transaction() as tx:
        plan = make_judge_plan("simulated/a", "simulated/b", judges=["simulated/judge"])
        batch = make_batch(tx, account, plan)
        job = make_job(tx, batch, round=2)
        answer = Answer('Blü, "so"\n', cost_nanos=412_000, model_returned="a-2")
        make_call(tx, job, "simulated/a", id="call_1", answer=answer)
        make_verdict(tx, job, {"simulated/a": 9.0})
    assert b"".join(stream_results(store, account.id, batch.id)).decode() == (
        '{"custom_id":"q1","job_id":"'
        + job.id
        + '","mode":"judge","state":"succeeded","completions":'
        '[{"call_id":"call_1","label":"simulated/a","provider":"simulated","model":"a",'
        '"model_returned":"a-2","role":"candidate","state":"succeeded","text":"Blü, \\"so\\"\\n",'
        '"reasoning":null,"tool_calls":null,"finish_reason":"stop","flags":[],"usage":'
        '{"input_tokens":10,"cache_read_tokens":0,"cache_write_tokens":0,"output_tokens":20,'
        '"reasoning_tokens":0,"estimated":false},"cost_nanos":412000,"billed":"byok",'
        '"latency_ms":500,"attempts":1,"unknown_attempts":0,"cached":false,"error":null}],"verdict":'
        '{"winner":"simulated/a","scores":[{"label":"simulated/a","score":9.0,"rank":1,'
        '"reasoning":"","self_judged":false,"addresses_judge":false,"median":null,"spread":null,'
        '"chars":null,"checks":null}],"overall":"","abstained":0,'
        '"judges":[{"judge":"simulated/judge","label":"simulated/a","score":9.0,"reasoning":"",'
        '"criteria":null}],"pairs":[],"pairs_missing":0,"canaries":[],"decided_by":null,'
        '"unasked":[]},"synthesis":null,"route":null,"cost_nanos":412000,"error":null,'
        '"note":null}\n'
    )


def test_completions_come_as_the_plan_lists_them_then_judges_by_round(
    store: Store, account: Account
) -> None:
    judges = ["simulated/y", "simulated/x"]
    with store.transaction() as tx:
        batch = make_batch(tx, account, make_judge_plan("acme/b", "acme/a", judges=judges))
        job = make_job(tx, batch, round=3)
        make_call(tx, job, "simulated/x", role="judge", round=3, meta={"repair": True})
        make_call(tx, job, "simulated/x", role="judge", round=2)
        make_call(tx, job, "simulated/y", role="judge", round=2)
        make_call(tx, job, "acme/a")
        make_call(tx, job, "acme/b", state="failed", reason="timeout")
    (line,) = lines_of(store, account, batch)
    assert [(one.role, one.label) for one in line.completions] == [
        ("candidate", "acme/b"),
        ("candidate", "acme/a"),
        ("judge", "simulated/y"),
        ("judge", "simulated/x"),
        ("judge", "simulated/x"),
    ]


def test_a_failed_call_is_a_completion_with_an_error(store: Store, account: Account) -> None:
    completion = the_completion(
        store, account, state="failed", reason="timeout", message="No answer in 60 s.", attempts=5
    )
    assert (completion.state, completion.text, completion.usage) == ("failed", None, None)
    assert completion.error == ErrorView(reason="timeout", message="No answer in 60 s.")
    assert (completion.attempts, completion.cost_nanos, completion.latency_ms) == (5, 0, None)


def test_a_refused_call_has_its_text_its_cost_and_a_reason(store: Store, account: Account) -> None:
    answer = Answer("I would rather not.", finish_reason="refusal", cost_nanos=70)
    completion = the_completion(store, account, state="refused", reason="refusal", answer=answer)
    assert (completion.text, completion.cost_nanos) == ("I would rather not.", 70)
    assert completion.error == ErrorView(reason="refusal")


def test_an_unknown_price_is_not_nought(store: Store, account: Account) -> None:
    with store.transaction() as tx:
        batch = make_batch(tx, account, make_plan("compare", "simulated/a", "simulated/b"))
        job = make_job(tx, batch)
        make_call(tx, job, "simulated/a", answer=Answer(cost_nanos=5))
        make_call(tx, job, "simulated/b", answer=Answer(cost_nanos=None))
    (line,) = lines_of(store, account, batch)
    assert [one.cost_nanos for one in line.completions] == [5, None]
    assert line.cost_nanos is None


def test_attempts_of_unknown_outcome_are_told(store: Store, account: Account) -> None:
    completion = the_completion(store, account, attempts=1, unknowns=2)
    assert (completion.unknown_attempts, completion.attempts) == (2, 4)
    assert completion.cost_nanos == 1_000


def test_a_call_that_may_have_been_paid_for_in_vain_has_no_known_cost(
    store: Store, account: Account
) -> None:
    completion = the_completion(
        store, account, state="failed", reason="outcome_unknown", attempts=0, unknowns=1
    )
    assert (completion.cost_nanos, completion.attempts) == (None, 1)


def test_what_was_answered_beside_the_text_is_there(store: Store, account: Account) -> None:
    completion = the_completion(store, account, answer=Answer("42", reasoning="Six by seven."))
    assert (completion.text, completion.reasoning) == ("42", "Six by seven.")


def test_a_job_s_error_says_why_and_a_note_is_no_error(store: Store, account: Account) -> None:
    with store.transaction() as tx:
        batch = make_batch(tx, account)
        make_job(tx, batch, state="failed", reason="all_failed", message="No model answered.")
        make_job(tx, batch, state="expired")
        make_job(tx, batch, reason="too_few_answers", message="Only one answered.")
    failed, expired, noted = lines_of(store, account, batch)
    assert failed.error == ErrorView(reason="all_failed", message="No model answered.")
    assert expired.error == ErrorView(reason="expired")
    assert (failed.note, expired.note, noted.error) == (None, None, None)
    assert noted.note == ErrorView(reason="too_few_answers", message="Only one answered.")


def test_an_unfinished_job_is_listed_as_such_unless_only_closed_ones_are_wanted(
    store: Store, account: Account
) -> None:
    with store.transaction() as tx:
        batch = make_batch(tx, account)
        job = make_job(tx, batch, state="running")
        make_call(tx, job, "simulated/a")
        make_call(tx, job, "simulated/b", state="queued")
        make_job(tx, batch, state="queued")
        make_job(tx, batch)
    running, queued, _ = lines_of(store, account, batch)
    assert (running.state, [one.label for one in running.completions]) == (
        "running",
        ["simulated/a"],
    )
    assert (queued.state, queued.completions, queued.error) == ("queued", [], None)
    with store.read() as session:
        closed, _ = result_page(session, account.id, batch.id, selection=CLOSED)
    assert [line.custom_id for line in closed] == ["q3"]


def test_pages_follow_each_other_by_position(store: Store, account: Account) -> None:
    with store.transaction() as tx:
        batch = make_batch(tx, account)
        for _ in range(5):
            make_job(tx, batch)
    with store.read() as session:
        pages = []
        cursor: int | None = -1
        while cursor is not None:
            lines, cursor = result_page(session, account.id, batch.id, cursor, 2)
            pages.append(([line.custom_id for line in lines], cursor))
    assert pages == [(["q1", "q2"], 1), (["q3", "q4"], 3), (["q5"], None)]


def test_a_stream_has_every_line_of_its_pages(store: Store, account: Account) -> None:
    batch_id = make_big_batch(store, account, 1_200)
    pieces = list(stream_results(store, account.id, batch_id))
    assert len(pieces) > 2
    with store.read() as session:
        lines, _ = result_page(session, account.id, batch_id, limit=1_200)
    assert b"".join(pieces) == b"".join(msgspec.json.encode(line) + b"\n" for line in lines)


def test_a_stream_holds_no_connection_between_its_pieces(store: Store, account: Account) -> None:
    batch_id = make_big_batch(store, account, 100)
    pieces = stream_results(store, account.id, batch_id)
    next(pieces)
    assert store.engine.pool.checkedout() == 0  # type: ignore[attr-defined]


def test_another_account_s_results_are_as_unknown_as_none(
    store: Store, account: Account, stranger: Account
) -> None:
    with store.transaction() as tx:
        batch = make_batch(tx, account)
    message = f"^there is no batch '{batch.id}'$"
    with pytest.raises(NotFoundError, match=message):
        stream_results(store, stranger.id, batch.id)
    with store.read() as session, pytest.raises(NotFoundError, match=message):
        result_page(session, stranger.id, batch.id)
