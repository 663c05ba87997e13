"""Money through the whole engine: who is charged, by which price, and never beyond the cap."""

import json
from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from sqlmodel import select

from app.accounts.audit import OPERATOR
from app.billing.ledger import balance_of, grant, transactions_of
from app.db import Store
from app.domain.errors import InsufficientCreditsError, InvalidRequestError
from app.domain.states import Billed
from app.models import Account, Batch, LedgerEntry, UsageRow
from app.pipeline.laws import check_laws
from app.pipeline.prices import GivenPrice, replace_prices
from app.pipeline.reconcile import reconcile
from app.pipeline.record import record
from app.queue import Step
from app.reports.leaderboard import report
from app.settings import load_settings
from app.vault.lanes import ensure_platform_lanes
from app.vault.provider_keys import KeySetting, set_provider_key
from tests.fakes.engine import Engine
from tests.fakes.provider import FakeProvider, answer
from tests.integration.engine.test_flow import batch_of

PAID = "groq/llama-3.3-70b-versatile"
OWN = "custom:local/any"
CENT = 10_000_000


@pytest.fixture
def provider() -> Iterator[FakeProvider]:
    with FakeProvider() as fake:
        fake.reply_always(answer())  # 12 tokens in, 34 out
        yield fake


@pytest.fixture
def engine(
    store: Store, tmp_path: Path, provider: FakeProvider, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Engine]:
    """An engine with a platform credential, a custom server, and a dollar of credits."""
    monkeypatch.setenv("OVERNIGHT_PLATFORM_GROQ_API_KEY", "gsk_made_up_0123456789")
    monkeypatch.setenv("OVERNIGHT_PLATFORM_GROQ_BASE_URL", provider.url)
    made = Engine(
        store, tmp_path, OVERNIGHT_TRUSTED_HOSTS="127.0.0.0/8", OVERNIGHT_MARGIN_PERCENT=25
    )
    with store.transaction() as tx:
        ensure_platform_lanes(tx, load_settings())
        account = tx.get_one(Account, made.account_id)
        set_provider_key(
            tx, made.services.vault, account, KeySetting("custom:local", None, provider.url)
        )
        grant(tx, store, made.account_id, 100 * CENT, idempotency_key="first")
    yield made
    with store.read() as session:
        assert check_laws(session, store) == []


def own_price(engine: Engine, dollars: int) -> None:
    with engine.store.transaction() as tx:
        price = GivenPrice(OWN, Decimal(dollars), Decimal(dollars))
        replace_prices(tx, engine.account_id, Billed.BYOK, [price], actor=OPERATOR)


def moved(engine: Engine) -> list[LedgerEntry]:
    with engine.store.read() as session:
        return list(reversed(transactions_of(session, engine.account_id)))


def usage_of(engine: Engine) -> list[UsageRow]:
    with engine.store.read() as session:
        return list(session.exec(select(UsageRow).order_by(UsageRow.call_id)))


def run(engine: Engine, *models: str, prompts: int = 1, **body: Any) -> Any:
    batch_id = engine.submit(
        [f"prompt {n}" for n in range(prompts)],
        models=list(models),
        **{"params": {"max_tokens": 100}, **body},
    )
    engine.drain()
    with engine.store.read() as session:
        return batch_of(session, batch_id)


def test_credits_are_held_captured_by_the_call_and_the_rest_is_released(
    engine: Engine, provider: FakeProvider
) -> None:
    provider.reply_always(answer(usage={"prompt_tokens": 100, "completion_tokens": 10}))
    batch = run(engine, PAID, prompts=2)
    kinds = [(one.kind, one.debit, one.credit) for one in moved(engine)[1:]]
    assert kinds == [
        ("hold", "available", "held"),
        ("capture", "held", "spent"),
        ("capture", "held", "spent"),
        ("release", "held", "available"),
    ]
    costs = [one.cost_nanos for one in usage_of(engine)]
    assert [one.amount_nanos for one in moved(engine) if one.kind == "capture"] == costs
    assert batch.spent_nanos == sum(costs)


def test_b5_a_capture_says_by_which_price_margin_and_usage_it_came_about(
    engine: Engine, provider: FakeProvider
) -> None:
    told = {"prompt_tokens": 1000, "completion_tokens": 100, "total_tokens": 1100}
    provider.reply_always(answer(usage=told))
    run(engine, PAID)
    (capture,) = [one for one in moved(engine) if one.kind == "capture"]
    assert capture.price_version.startswith("genai-prices ")
    assert capture.price_version.endswith(" +25%")
    assert json.loads(capture.note) == told
    # $0.59 and $0.79 per million as listed, and a quarter more.
    assert capture.amount_nanos == -(-(1000 * 590 + 100 * 790) * 125 // 100)


def test_a_call_with_the_account_s_own_key_moves_no_credits(engine: Engine) -> None:
    own_price(engine, 2)
    batch = run(engine, OWN, budget_usd=1)
    assert [one.kind for one in moved(engine)] == ["grant"]
    (usage,) = usage_of(engine)
    assert (usage.billed, usage.cost_nanos) == ("byok", (12 + 34) * 2000)
    assert batch.spent_nanos == usage.cost_nanos


def test_a_mixed_batch_is_split_by_the_call(engine: Engine) -> None:
    own_price(engine, 2)
    batch = run(engine, PAID, OWN, prompts=3)
    usage = usage_of(engine)
    paid = [one.cost_nanos for one in usage if one.billed == "credits"]
    assert (len(paid), len(usage)) == (3, 6)
    captures = [one for one in moved(engine) if one.kind == "capture"]
    assert sum(one.amount_nanos for one in captures) == sum(paid)
    assert batch.spent_nanos == sum(one.cost_nanos for one in usage)
    with engine.store.read() as session:
        assert balance_of(session, engine.account_id).spent_nanos == sum(paid)


def test_b3_a_provider_that_counts_ten_times_the_bound_is_flagged_and_the_batch_stops(
    engine: Engine, provider: FakeProvider
) -> None:
    provider.reply_always(answer(usage={"prompt_tokens": 12, "completion_tokens": 1000}))
    batch = run(engine, PAID, prompts=40, budget_usd=0.001)
    assert (batch.ending, batch.state) == ("budget_exhausted", "completed")
    assert batch.spent_nanos == batch.cap_nanos + batch.overrun_nanos
    assert batch.overrun_nanos > 0
    # What was paid for is kept, and what was open is not sent.
    assert 0 < batch.jobs_succeeded < 40
    assert batch.jobs_succeeded == len(provider.journal) == len(usage_of(engine))
    with engine.store.read() as session:
        notes = report(session, engine.account_id, batch.id).notes
    assert any("a provider counted more tokens than the bound it was sent" in n for n in notes)


def test_b5_prices_that_change_mid_run_change_nothing_for_a_batch_that_has_begun(
    engine: Engine,
) -> None:
    own_price(engine, 2)
    engine.submit(["a", "b"], models=[OWN], params={"max_tokens": 100})
    engine.follow(*engine.queue.hints.popleft())
    record(engine.services, engine.carry_all(engine.claim(wanted=1)))
    own_price(engine, 50)
    engine.drain()
    first, second = usage_of(engine)
    assert first.price_version == second.price_version
    assert first.cost_nanos == second.cost_nanos == (12 + 34) * 2000
    run(engine, OWN)
    assert usage_of(engine)[-1].cost_nanos == (12 + 34) * 50_000


def test_a_model_without_a_price_is_refused_under_a_budget_until_it_has_one(
    engine: Engine,
) -> None:
    with pytest.raises(InvalidRequestError, match="price of custom:local/any is not known"):
        run(engine, OWN, budget_usd=1)
    assert run(engine, OWN).unpriced_calls == 1
    own_price(engine, 2)
    assert run(engine, OWN, budget_usd=1).spent_nanos > 0


def test_a_hold_that_the_credits_do_not_cover_is_refused_and_a_budget_helps(
    engine: Engine,
) -> None:
    with pytest.raises(InsufficientCreditsError, match="set a budget"):
        run(engine, PAID, prompts=100, params={"max_tokens": 100_000})
    assert [one.kind for one in moved(engine)] == ["grant"]
    run(engine, PAID, prompts=100, params={"max_tokens": 100_000}, budget_usd=1)
    with engine.store.read() as session:
        assert balance_of(session, engine.account_id).held_nanos == 0


def test_what_an_expired_batch_held_comes_back(engine: Engine) -> None:
    batch_id = engine.submit(["a", "b"], models=[PAID], params={"max_tokens": 100})
    assert engine.account().held_nanos > 0
    with engine.store.transaction() as tx:
        tx.get_one(Batch, batch_id).deadline = engine.store.now(tx) - timedelta(seconds=1)
    engine.queue.send(Step.RECONCILE)
    engine.drain()
    account = engine.account()
    assert (account.held_nanos, account.available_nanos) == (0, account.granted_nanos)
    assert [entry.kind for entry in moved(engine)] == ["grant", "hold", "release"]


def test_usage_that_nobody_told_is_estimated_charged_and_flagged(
    engine: Engine, provider: FakeProvider
) -> None:
    provider.reply_always(answer("word " * 40, usage=None))
    batch = run(engine, PAID)
    (usage,) = usage_of(engine)
    assert usage.estimated
    assert usage.cost_nanos > 0
    (capture,) = [one for one in moved(engine) if one.kind == "capture"]
    assert json.loads(capture.note)["estimated"] is True
    with engine.store.read() as session:
        notes = report(session, engine.account_id, batch.id).notes
    assert any("The usage of 1 answer is an estimate of ours" in note for note in notes)


def test_b4_what_a_lost_worker_had_reserved_comes_back(engine: Engine) -> None:
    own_price(engine, 2)
    batch_id = engine.submit(["a"], models=[OWN], budget_usd=1, params={"max_tokens": 100})
    engine.follow(*engine.queue.hints.popleft())
    (held,) = engine.claim()
    with engine.store.read() as session:
        assert batch_of(session, batch_id).reserved_nanos == held.call.worst_nanos > 0
    engine.lose_worker()
    engine.drain()
    reconcile(engine.services)
    with engine.store.read() as session:
        batch = batch_of(session, batch_id)
    assert batch.reserved_nanos == 0
    assert batch.possible_duplicate_nanos == held.call.worst_nanos
