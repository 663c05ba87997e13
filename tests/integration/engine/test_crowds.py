"""Money in a crowd, and with a process that is killed beside any commit: a little of each.

`tests/torture` has more of them, and for longer.
"""

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.db import Store
from tests.fakes.provider import FakeProvider, answer
from tests.integration.engine.crowds import (
    DOLLAR,
    MODEL,
    check_books,
    check_submits_at_once,
    engine_with_credits,
    run_with_kills,
)


@pytest.fixture
def provider() -> Iterator[FakeProvider]:
    with FakeProvider() as fake:
        fake.reply_always(answer())
        yield fake


def test_submits_at_once_never_hold_more_credits_than_there_are(
    store: Store, tmp_path: Path, provider: FakeProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = engine_with_credits(store, tmp_path, provider, monkeypatch, DOLLAR // 20)
    check_submits_at_once(engine, 40, threads=8)


def test_b2_whenever_a_process_is_killed_the_ledger_is_what_was_answered(
    store: Store, tmp_path: Path, provider: FakeProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = engine_with_credits(store, tmp_path, provider, monkeypatch, DOLLAR)
    prompts = [f"prompt {number}" for number in range(20)]
    batch_id = engine.submit(prompts, models=[MODEL], params={"max_tokens": 50})
    killed = run_with_kills(engine, batch_id, random.Random(1), 0.2)
    assert killed >= 3
    check_books(engine, provider, batch_id)
