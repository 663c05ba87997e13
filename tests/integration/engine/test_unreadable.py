"""An answer that cannot be read was paid for: the money is seen, and nobody is charged for it."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlmodel import select

from app.billing.ledger import balance_of, grant
from app.billing.pricing import price_of
from app.db import Store
from app.domain.completion import Usage
from app.domain.secret import Secret
from app.models import Account, Attempt, LedgerEntry, UsageRow
from app.pipeline.laws import check_laws
from app.reports.progress import cost_view
from app.vault.lanes import ensure_platform_lanes
from app.vault.provider_keys import KeySetting, set_provider_key
from tests.fakes.engine import Engine
from tests.fakes.provider import USAGE, FakeProvider, answer, respond
from tests.integration.engine.failing import make_due
from tests.integration.engine.test_flow import batch_of

MODEL = "openai/gpt-4o"
BOUND = {"max_tokens": 100}
DOLLAR = 1_000_000_000
#: Read, it would have cost as much as an answer of the same usage.
COST = price_of("openai", "gpt-4o").cost_nanos(Usage(12, 0, 0, 34))  # type: ignore[union-attr]
NO_CHOICE = respond(200, {"choices": [], "model": "gpt-4o", "usage": USAGE})


@pytest.fixture
def provider() -> Iterator[FakeProvider]:
    with FakeProvider() as server:
        yield server


@pytest.fixture
def engine(
    store: Store, tmp_path: Path, provider: FakeProvider, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Engine]:
    monkeypatch.setenv("OVERNIGHT_PLATFORM_OPENAI_API_KEY", "sk-of-the-platform-0000")
    monkeypatch.setenv("OVERNIGHT_PLATFORM_OPENAI_BASE_URL", provider.url)
    made = Engine(store, tmp_path, OVERNIGHT_TRUSTED_HOSTS="127.0.0.0/8")
    yield made
    with store.read() as session:
        assert check_laws(session, store) == []


def run(engine: Engine, **body: object) -> str:
    batch_id = engine.submit(["one"], models=[MODEL], params=BOUND, **body)
    for _ in range(4):
        engine.drain()
        make_due(engine)
    engine.drain()
    return batch_id


def with_own_key(engine: Engine, url: str) -> None:
    with engine.store.transaction() as tx:
        account = tx.get_one(Account, engine.account_id)
        setting = KeySetting("openai", Secret("sk-of-a-test-000000"), url)
        set_provider_key(tx, engine.services.vault, account, setting)


def test_p7_the_attempt_keeps_its_cost_and_the_batch_has_spent_it(
    engine: Engine, provider: FakeProvider
) -> None:
    with_own_key(engine, provider.url)
    provider.reply_with(NO_CHOICE, answer("Paris."))
    batch_id = run(engine, budget_usd=1)
    with engine.store.read() as session:
        attempts = session.exec(select(Attempt).order_by(Attempt.epoch)).all()  # type: ignore[arg-type]
        cost = cost_view(batch_of(session, batch_id))
        usage = session.exec(select(UsageRow)).one()
    assert [(one.state, one.reason, one.cost_nanos) for one in attempts] == [
        ("failed", "no_choices", COST),
        ("succeeded", None, COST),
    ]
    assert COST > 0
    assert (cost.spent_nanos, cost.wasted_nanos, cost.reserved_nanos) == (2 * COST, COST, 0)
    assert usage.cost_nanos == COST  # the model is charged for its answer alone


def test_p7_a_budget_is_not_got_round_by_answers_that_cannot_be_read(
    engine: Engine, provider: FakeProvider
) -> None:
    with_own_key(engine, provider.url)
    provider.reply_with(*[NO_CHOICE] * 9)
    worst = price_of("openai", "gpt-4o").worst_nanos(16 + 64 + 3, 100)  # type: ignore[union-attr]
    cap = worst + COST // 2
    batch_id = run(engine, budget_usd=cap / DOLLAR)
    with engine.store.read() as session:
        batch = batch_of(session, batch_id)
    assert batch.cap_nanos is not None
    assert batch.spent_nanos == COST * len(provider.journal) <= batch.cap_nanos
    assert batch.ending == "budget_exhausted"
    assert len(provider.journal) == 1


def test_p7_credits_pay_for_no_answer_that_nobody_could_read(
    engine: Engine, provider: FakeProvider
) -> None:
    with engine.store.transaction() as tx:
        ensure_platform_lanes(tx, engine.services.settings)
        grant(tx, engine.store, engine.account_id, DOLLAR, idempotency_key="g")
    provider.reply_with(NO_CHOICE, answer("Paris."))
    batch_id = run(engine)
    with engine.store.read() as session:
        batch = batch_of(session, batch_id)
        captured = session.exec(select(LedgerEntry).where(LedgerEntry.kind == "capture")).one()
        balance = balance_of(session, engine.account_id)
    assert (batch.spent_nanos, batch.wasted_nanos) == (2 * COST, COST)
    assert captured.amount_nanos == COST
    assert (balance.spent_nanos, balance.held_nanos) == (COST, 0)


def test_p7_an_answer_at_no_known_price_is_counted_as_unpriced(
    engine: Engine, provider: FakeProvider
) -> None:
    with engine.store.transaction() as tx:
        account = tx.get_one(Account, engine.account_id)
        setting = KeySetting("custom:local", None, provider.url)
        set_provider_key(tx, engine.services.vault, account, setting)
    provider.reply_with(NO_CHOICE, answer("Paris."))
    batch_id = engine.submit(["one"], models=["custom:local/m"])
    engine.drain()
    make_due(engine)
    engine.drain()
    with engine.store.read() as session:
        batch = batch_of(session, batch_id)
    assert (batch.spent_nanos, batch.wasted_nanos, batch.unpriced_calls) == (0, 0, 2)
