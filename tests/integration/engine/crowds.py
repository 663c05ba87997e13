"""An engine with the operator's key and a client's credits, and crowds and accidents for it."""

import random
from pathlib import Path

import pytest
from sqlmodel import col, func, select

from app.billing.ledger import balance_of, grant, transactions_of
from app.db import Store
from app.domain.commits import Commit
from app.domain.errors import InsufficientCreditsError
from app.models import Attempt, Batch, UsageRow
from app.pipeline.control import cancel
from app.pipeline.laws import check_laws
from app.pipeline.reconcile import reconcile
from app.settings import load_settings
from app.vault.lanes import ensure_platform_lanes
from tests.factories.racing import run_at_once
from tests.fakes.engine import Engine
from tests.fakes.provider import FakeProvider
from tests.integration.engine.failing import make_due

MODEL = "groq/llama-3.3-70b-versatile"
DOLLAR = 1_000_000_000
_TURNS_MAX = 5_000


def engine_with_credits(
    store: Store,
    data_dir: Path,
    provider: FakeProvider,
    monkeypatch: pytest.MonkeyPatch,
    credits_nanos: int,
) -> Engine:
    """An engine whose calls are paid with credits, however often they have to be sent."""
    monkeypatch.setenv("OVERNIGHT_PLATFORM_GROQ_API_KEY", "gsk_made_up_0123456789")
    monkeypatch.setenv("OVERNIGHT_PLATFORM_GROQ_BASE_URL", provider.url)
    made = Engine(
        store, data_dir, OVERNIGHT_TRUSTED_HOSTS="127.0.0.0/8", OVERNIGHT_UNKNOWN_RESENDS_MAX=100
    )
    with store.transaction() as tx:
        ensure_platform_lanes(tx, load_settings())
        grant(tx, store, made.account_id, credits_nanos, idempotency_key="first")
    return made


def check_submits_at_once(engine: Engine, times: int, threads: int) -> None:
    """Many submit at once what only some of them can pay; then all of them cancel."""
    store, account_id = engine.store, engine.account_id
    granted = engine.account().granted_nanos

    def work(number: int) -> bool:
        try:
            engine.submit([f"prompt {number}"], models=[MODEL], params={"max_tokens": 8000})
        except InsufficientCreditsError:
            return False
        return True

    accepted = sum(run_at_once(work, times, threads=threads))
    with store.read() as session:
        balance = balance_of(session, account_id)
        holds = dict(session.exec(select(Batch.id, Batch.held_nanos)).all())
    assert 0 < accepted == len(holds) < times
    assert balance.available_nanos >= 0
    assert balance.held_nanos == sum(holds.values()) == granted - balance.available_nanos
    # Nobody was refused what there was room for.
    assert balance.available_nanos < max(holds.values())
    for batch_id in holds:
        cancel(engine.services, account_id, batch_id)
    engine.queue.hints.clear()  # of each of them to look at all of them
    reconcile(engine.services)
    engine.drain()
    assert engine.account().available_nanos == granted
    with store.read() as session:
        assert check_laws(session, store) == []


class _Killed(BaseException):
    """As after kill -9, nothing that was in hand is left, and nobody says goodbye."""


class _RandomKills:
    """In a crash point's place: beside any commit this may be the end."""

    def __init__(self, lots: random.Random, chance: float) -> None:
        self._lots, self._chance = lots, chance
        self.is_on = True
        self.killed = 0

    def pass_by(self, commit: Commit | None, _side: str) -> None:
        """Die, or not. Commits without a name are the test's own."""
        if self.is_on and commit is not None and self._lots.random() < self._chance:
            self.killed += 1
            raise _Killed


def run_with_kills(engine: Engine, batch_id: str, lots: random.Random, chance: float) -> int:
    """Let everything happen to a batch until it is closed; how often the process was killed.

    Each time the broker has lost its messages as well.
    """
    kills = _RandomKills(lots, chance)
    engine.store._crash = kills  # type: ignore[assignment]
    for _ in range(_TURNS_MAX):
        kills.is_on = True
        try:
            if engine.queue.hints:
                engine.follow(*engine.queue.hints.popleft())
            elif not engine.pump_once(wanted=lots.randint(1, 4)):
                reconcile(engine.services)
                make_due(engine)
        except _Killed:
            kills.is_on = False
            engine.queue.hints.clear()
            engine.lose_worker()
        with engine.store.read() as session:
            if session.get_one(Batch, batch_id).closed_at is not None:
                engine.store._crash = None
                return kills.killed
    raise AssertionError("the batch does not close")


def check_books(engine: Engine, provider: FakeProvider, batch_id: str) -> None:
    """The ledger is what the provider answered, less what is flagged as bought in vain."""
    with engine.store.read() as session:
        batch = session.get_one(Batch, batch_id)
        balance = balance_of(session, engine.account_id)
        moved = transactions_of(session, engine.account_id, limit=100_000)
        attempts = dict(
            session.exec(select(Attempt.state, func.count()).group_by(col(Attempt.state))).all()
        )
        calls = session.exec(select(UsageRow.call_id)).all()
        costs = session.exec(select(func.sum(col(UsageRow.cost_nanos)))).one()
        assert check_laws(session, engine.store) == []
    captures = [one for one in moved if one.kind == "capture"]
    assert sorted(one.call_id or "" for one in captures) == sorted(calls)
    assert sum(one.amount_nanos for one in captures) == costs == batch.spent_nanos
    assert balance.held_nanos == 0
    assert balance.available_nanos + costs == engine.account().granted_nanos
    assert attempts["succeeded"] == batch.jobs_succeeded == len(calls)
    assert attempts.get("unknown", 0) == batch.unknown_attempts
    in_vain = len(provider.journal) - len(calls)
    assert 0 <= in_vain <= batch.unknown_attempts
