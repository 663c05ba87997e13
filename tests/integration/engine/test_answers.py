"""What a provider over HTTP does to a call, from the request to what is stored of it."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlmodel import Session, col, select

from app.billing.pricing import price_of
from app.db import Store
from app.domain.completion import Usage
from app.domain.secret import Secret
from app.models import Account, Attempt, Call, Lane, StoredCompletion, StoredText, UsageRow
from app.pipeline.laws import check_laws
from app.reports.results import result_page
from app.reports.views import ResultLine
from app.vault.provider_keys import KeySetting, set_provider_key
from tests.fakes.engine import Engine
from tests.fakes.http import Reply
from tests.fakes.provider import FakeProvider, answer, answer_body, drop, respond
from tests.integration.engine.failing import make_due
from tests.integration.engine.test_flow import batch_of

MODEL = "openai/gpt-4o"
DOLLAR = 1_000_000_000


@pytest.fixture
def provider() -> Iterator[FakeProvider]:
    with FakeProvider() as server:
        yield server


@pytest.fixture
def engine(store: Store, tmp_path: Path, provider: FakeProvider) -> Iterator[Engine]:
    made = Engine(store, tmp_path, OVERNIGHT_TRUSTED_HOSTS="127.0.0.0/8")
    with made.store.transaction() as tx:
        account = tx.get_one(Account, made.account_id)
        setting = KeySetting("openai", Secret("sk-of-a-test-000000"), provider.url)
        set_provider_key(tx, made.services.vault, account, setting)
    yield made
    with store.read() as session:
        assert check_laws(session, store) == []


def run(engine: Engine, turns: int = 8, **body: object) -> str:
    given: dict[str, Any] = {"models": [MODEL], "params": {"max_tokens": 100}} | body
    batch_id = engine.submit(["one"], **given)
    for _ in range(turns):
        engine.drain()
        make_due(engine)
    return batch_id


def line_of(session: Session, engine: Engine, batch_id: str) -> ResultLine:
    (line,), _ = result_page(session, engine.account_id, batch_id)
    return line


def attempts(session: Session) -> list[tuple[str, str | None]]:
    rows = session.exec(select(Attempt).order_by(col(Attempt.epoch))).all()
    return [(one.state, one.reason) for one in rows]


def test_p6_every_request_that_left_is_an_attempt_and_no_other_was_sent(
    engine: Engine, provider: FakeProvider
) -> None:
    provider.reply_with(
        drop(), drop(abort=True), drop(after=b"HTTP/1.1 200 OK\r\n"), answer("Yes.")
    )
    batch_id = run(engine)
    with engine.store.read() as session:
        assert attempts(session) == [("unknown", "dropped")] * 3 + [("succeeded", None)]
        assert len(provider.journal) == 4
        batch = batch_of(session, batch_id)
        worst = session.exec(select(Call.worst_nanos)).one()
        assert batch.unknown_attempts == 3
        assert batch.possible_duplicate_nanos == 3 * (worst or 0) > 0
        assert len(session.exec(select(UsageRow)).all()) == 1


@pytest.mark.parametrize(
    "reply",
    [
        drop(after=b'HTTP/1.1 200 OK\r\ncontent-length: 9999\r\n\r\n{"choices": [{"mess'),
        respond(200, b'{"choices": [{"index": 0, "message": {"content": "half an ans'),
    ],
    ids=["the connection", "the body"],
)
def test_p11_an_answer_that_breaks_off_is_never_a_success(
    engine: Engine, provider: FakeProvider, reply: Reply
) -> None:
    provider.reply_with(*[reply] * 12)
    batch_id = run(engine)
    with engine.store.read() as session:
        line = line_of(session, engine, batch_id)
        assert line.state == "failed"
        assert session.exec(select(StoredCompletion)).all() == []


@pytest.mark.parametrize(
    ("fields", "state", "reason", "text"),
    [
        ({"text": "Half an", "finish_reason": "length"}, "succeeded", "length", "Half an"),
        ({"text": None, "finish_reason": "content_filter"}, "refused", "content_filter", ""),
        ({"text": None, "refusal": "I would rather not."}, "refused", "refusal", "I would rather not."),
        ({"text": ""}, "succeeded", "stop", ""),
        ({"text": "Yes.", "finish_reason": None}, "succeeded", "unknown", "Yes."),
        (
            {"text": None, "finish_reason": "tool_calls",
             "tool_calls": [{"id": "t1", "type": "function", "function": {"name": "f", "arguments": "{}"}}]},
            "succeeded", "tool_calls", "",
        ),
    ],
    ids=["length", "filter", "refusal", "empty", "no reason", "tool"],
)  # fmt: skip
def test_p12_every_way_to_end_is_visible_in_the_result(
    engine: Engine,
    provider: FakeProvider,
    fields: dict[str, Any],
    state: str,
    reason: str,
    text: str,
) -> None:
    provider.reply_with(answer(**fields))
    batch_id = run(engine)
    with engine.store.read() as session:
        (one,) = line_of(session, engine, batch_id).completions
    assert (one.state, one.finish_reason, one.text) == (state, reason, text)
    assert len(provider.journal) == 1


STRANGE: list[tuple[str, Callable[[str], bool]]] = [
    ("a\x00b\ud800c", lambda text: text == "a\ufffdb\ufffdc"),
    ("x" * 10_000_000, lambda text: len(text) == 10_000_000),
    ("\u202eevil\u200b", lambda text: text == "\u202eevil\u200b"),
]


@pytest.mark.parametrize(("said", "kept"), STRANGE, ids=["unstorable", "10 MB", "zero width"])
def test_p13_whatever_was_said_is_stored_once_and_not_bought_again(
    engine: Engine, provider: FakeProvider, said: str, kept: Callable[[str], bool]
) -> None:
    provider.reply_with(respond(200, json.dumps(answer_body(said)).encode()))
    run(engine)
    with engine.store.read() as session:
        text = session.exec(select(StoredText.body).where(StoredText.kind == "answer")).one()
        flags = session.exec(select(StoredCompletion.flags)).one()
    assert kept(text)
    assert (flags == "sanitised") is ("\ufffd" in text)
    assert len(provider.journal) == 1


NO_USAGE = [None, {}, {"prompt_tokens": 0, "completion_tokens": 0}, {"prompt_tokens": -5},
            {"prompt_tokens": "12", "completion_tokens": "34"},
            {"prompt_tokens": 10**18, "completion_tokens": 10**18}]  # fmt: skip


@pytest.mark.parametrize(
    "usage", NO_USAGE, ids=["missing", "empty", "zero", "negative", "text", "huge"]
)
def test_p14_usage_that_cannot_be_is_estimated_and_the_cap_still_holds(
    engine: Engine, provider: FakeProvider, usage: Any
) -> None:
    provider.reply_with(*[answer("Paris. " * 8, usage=usage)] * 3)
    batch_id = engine.submit(
        ["one", "two", "three"], models=[MODEL], params={"max_tokens": 100}, budget_usd=0.01
    )
    engine.drain()
    with engine.store.read() as session:
        batch = batch_of(session, batch_id)
        rows = session.exec(select(UsageRow)).all()
    assert [one.estimated for one in rows] == [True] * 3
    assert all(0 < (one.cost_nanos or 0) < DOLLAR for one in rows)
    assert batch.spent_nanos == sum(one.cost_nanos or 0 for one in rows)
    assert batch.cap_nanos is not None
    assert batch.spent_nanos <= batch.cap_nanos


def test_p15_the_name_that_was_asked_for_has_the_price_and_both_are_kept(
    engine: Engine, provider: FakeProvider
) -> None:
    provider.reply_with(answer("Yes.", model="gpt-4o-mini-2024-07-18"))
    batch_id = run(engine)
    with engine.store.read() as session:
        (one,) = line_of(session, engine, batch_id).completions
        usage = session.exec(select(UsageRow)).one()
    assert (one.model, one.model_returned) == ("gpt-4o", "gpt-4o-mini-2024-07-18")
    price = price_of("openai", "gpt-4o")
    assert price is not None
    assert usage.cost_nanos == price.cost_nanos(Usage(12, 0, 0, 34))


@pytest.mark.parametrize(
    "url", ["http://169.254.169.254/v1", "http://localhost:1/v1", "http://2852039166/v1"]
)
def test_p16_an_address_inside_is_refused_at_every_attempt_whoever_let_it_in(
    store: Store, tmp_path: Path, url: str
) -> None:
    engine = Engine(store, tmp_path, OVERNIGHT_TRUSTED_HOSTS="10.9.9.9")
    with engine.store.transaction() as tx:
        account = tx.get_one(Account, engine.account_id)
        setting = KeySetting("custom:inside", None, "https://llm.example.com/v1")
        lane = set_provider_key(tx, engine.services.vault, account, setting)
        tx.get_one(Lane, lane.id).base_url = url  # as if a check had been passed by
    run(engine, 1, models=["custom:inside/m"])
    with engine.store.read() as session:
        assert attempts(session) == [("failed", "address_refused")]
        call = session.exec(select(Call)).one()
    assert (call.state, call.reason) == ("failed", "address_refused")
