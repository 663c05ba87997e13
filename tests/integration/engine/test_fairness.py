"""The real pump between accounts: a guest does not wait for a crowd, and a shared lane is shared."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlmodel import col, func, select

from app.billing.ledger import grant
from app.db import Store
from app.models import Attempt, Call
from app.pipeline.plan import plan
from app.settings import load_settings
from app.vault.lanes import ensure_platform_lanes
from tests.fakes.engine import Engine
from tests.fakes.provider import FakeProvider, answer
from tests.integration.engine.crowds import DOLLAR, MODEL
from tests.servers import wait_for
from workers.runtime import Runtime

SLOTS = 8
#: So many of its calls are behind a guest who comes.
CROWD = 500
SLOW_MS = 100
SLOW = {"extra": {"simulated": {"latency_ms": SLOW_MS, "latency_sigma": 0}}}
#: What may start between its coming and its start: what comes free in half a second.
AHEAD_MAX = SLOTS * 500 // SLOW_MS


@contextmanager
def running(engine: Engine) -> Iterator[Runtime]:
    """A worker at work on what the engine has planned."""
    runtime = Runtime(engine.services)
    runtime.start()
    try:
        yield runtime
    finally:
        runtime.stop(2)


def planned(engine: Engine, account_id: str, calls: int, **body: object) -> str:
    """A batch of so many calls of that account, all of them due."""
    engine.account_id = account_id
    batch_id = engine.submit([f"prompt {number}" for number in range(calls)], **body)
    plan(engine.services, batch_id)
    return batch_id


def sent(engine: Engine) -> Counter[str]:
    """How many calls were sent so far, by account."""
    with engine.store.read() as session:
        rows = session.exec(
            select(Call.account_id, func.count())
            .join(Attempt, col(Attempt.call_id) == Call.id)
            .group_by(Call.account_id)
        ).all()
    return Counter(dict(rows))


def test_a_one_call_batch_goes_ahead_of_a_crowd_of_another_account_that_fills_every_slot(
    store: Store, tmp_path: Path, valkey_url: str
) -> None:
    engine = Engine(store, tmp_path, REDIS_URL=valkey_url, OVERNIGHT_WORKER_IN_FLIGHT=SLOTS)
    crowd, guest = engine.account_id, engine.new_account()
    planned(engine, crowd, CROWD, params=SLOW, priority=9)
    with running(engine) as runtime:
        assert wait_for(lambda: sent(engine)[crowd] > SLOTS, timeout_s=60)
        batch_id = planned(engine, guest, 1, params=SLOW, priority=1)
        runtime.wake_pump()
        assert wait_for(lambda: sent(engine)[guest] == 1, timeout_s=60)
        assert sent(engine)[crowd] < CROWD
    with store.read() as session:
        started_at, due_at = session.exec(
            select(Attempt.started_at, Call.created_at)
            .join(Call, col(Call.id) == Attempt.call_id)
            .where(Call.batch_id == batch_id)
        ).one()
        ahead = session.exec(
            select(func.count()).where(
                col(Attempt.started_at) > due_at, col(Attempt.started_at) < started_at
            )
        ).one()
    assert ahead <= AHEAD_MAX


@pytest.fixture
def provider() -> Iterator[FakeProvider]:
    with FakeProvider() as fake:
        fake.reply_always(answer(delay_s=0.05))
        yield fake


def test_two_accounts_get_equal_shares_of_a_platform_lane_however_many_batches_one_has(
    store: Store,
    tmp_path: Path,
    valkey_url: str,
    provider: FakeProvider,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OVERNIGHT_PLATFORM_GROQ_API_KEY", "gsk_made_up_0123456789")
    monkeypatch.setenv("OVERNIGHT_PLATFORM_GROQ_BASE_URL", provider.url)
    engine = Engine(store, tmp_path, REDIS_URL=valkey_url, OVERNIGHT_WORKER_IN_FLIGHT=SLOTS)
    many, one = engine.account_id, engine.new_account()
    with store.transaction() as tx:
        ensure_platform_lanes(tx, load_settings())
        for account_id in (many, one):
            grant(tx, store, account_id, DOLLAR, idempotency_key=account_id)
    for priority in (9, 5, 1):
        body = {"models": [MODEL], "params": {"max_tokens": 50}, "priority": priority}
        planned(engine, many, 100, **body)
    planned(engine, one, 100, models=[MODEL], params={"max_tokens": 50}, priority=1)
    with running(engine):
        assert wait_for(lambda: sent(engine).total() >= 120, timeout_s=60)
        shares = sent(engine)
    assert min(shares[many], shares[one]) >= 0.4 * shares.total(), shares
    with store.read() as session:
        batches = session.exec(
            select(Call.batch_id).where(Call.account_id == many, Call.state != "queued").distinct()
        ).all()
    assert len(batches) == 1, "of its own batches the one of the highest priority comes first"
