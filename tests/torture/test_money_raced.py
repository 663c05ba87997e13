"""Money under a crowd, and under many accidents: never below zero, and exact to the nanodollar."""

import random
from pathlib import Path

import pytest

from app.billing.captures import Capture
from app.db import Store
from tests.factories.money import (
    balance,
    broken_laws,
    capture,
    give_back,
    hold_for,
    open_account,
)
from tests.fakes.provider import FakeProvider, answer
from tests.integration.engine.crowds import (
    DOLLAR,
    MODEL,
    check_books,
    check_submits_at_once,
    engine_with_credits,
    run_with_kills,
)

#: These captures are for calls that were never made.
NO_USAGE = ("usage_captured_once",)


def test_a_thousand_submits_at_once_never_hold_more_than_a_dollar(
    store: Store, tmp_path: Path, provider: FakeProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = engine_with_credits(store, tmp_path, provider, monkeypatch, DOLLAR)
    check_submits_at_once(engine, 1_000, threads=50)


@pytest.mark.parametrize(
    "seed", [10, 11, *(pytest.param(seed, marks=pytest.mark.long) for seed in range(12, 30))]
)
def test_b2_whenever_a_process_is_killed_the_ledger_is_what_was_answered(
    store: Store,
    tmp_path: Path,
    provider: FakeProvider,
    monkeypatch: pytest.MonkeyPatch,
    seed: int,
) -> None:
    provider.reply_always(answer())
    lots = random.Random(seed)
    engine = engine_with_credits(store, tmp_path, provider, monkeypatch, DOLLAR)
    prompts = [f"prompt {number}" for number in range(200)]
    batch_id = engine.submit(prompts, models=[MODEL], params={"max_tokens": 50})
    assert run_with_kills(engine, batch_id, lots, lots.uniform(0.02, 0.2)) >= 3
    check_books(engine, provider, batch_id)


@pytest.mark.parametrize("store_url", ["sqlite"], indirect=True)
def test_b6_a_million_captures_of_150_nanodollars_are_fifteen_cents(store: Store) -> None:
    account_id = open_account(store, credits_nanos=DOLLAR)
    batch_id = hold_for(store, account_id, DOLLAR)
    for start in range(0, 1_000_000, 5_000):
        numbers = range(start, start + 5_000)
        capture(store, *(Capture(account_id, batch_id, f"call_{one:07}", 150) for one in numbers))
    assert balance(store, account_id).spent_nanos == 150_000_000
    assert give_back(store, batch_id) == DOLLAR - 150_000_000
    assert broken_laws(store, but=NO_USAGE) == []
