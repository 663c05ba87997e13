"""Calls that were claimed a moment before there is a slot for them."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.db import Store
from app.models import Call
from app.pipeline.laws import check_laws
from tests.fakes.clock import FakeClock
from tests.fakes.engine import Engine
from tests.fakes.http import Seen
from tests.fakes.provider import FakeProvider, echo
from tests.integration.engine.flights import attempts_counted, claimed, workers
from workers import flight as flight_module

LIMIT = 2


@pytest.fixture
def provider() -> Iterator[FakeProvider]:
    with FakeProvider() as server:
        yield server


@pytest.fixture
def engine(store: Store, tmp_path: Path) -> Iterator[Engine]:
    limits = {"OVERNIGHT_TRUSTED_HOSTS": "127.0.0.0/8", "OVERNIGHT_WORKER_IN_FLIGHT": str(LIMIT)}
    made = Engine(store, tmp_path, **limits)
    yield made
    with store.read() as session:
        assert check_laws(session, store) == []


async def test_no_more_are_sent_at_a_time_than_there_are_slots(
    engine: Engine, provider: FakeProvider
) -> None:
    under_way, seen_under_way = set[int](), list[int]()
    answering = echo()

    async def reply(writer: asyncio.StreamWriter, seen: Seen) -> None:
        under_way.add(id(seen))
        seen_under_way.append(len(under_way))
        await asyncio.sleep(0.05)
        under_way.remove(id(seen))
        await answering(writer, seen)

    provider.reply_always(reply)
    calls = claimed(engine, provider, "openai", 6)
    async with workers(engine, FakeClock(), 1) as (worker,):
        await worker.send(calls)
    assert len(provider.journal) == 6
    assert max(seen_under_way) == LIMIT


async def test_what_gets_no_slot_in_time_is_given_back_and_costs_no_attempt(
    engine: Engine, provider: FakeProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(flight_module, "HELD_MAX_S", 0.0)
    calls = claimed(engine, provider, "openai", 6)
    async with workers(engine, FakeClock(), 1) as (worker,):
        await worker.send(calls)
    assert len(provider.journal) == LIMIT
    assert attempts_counted(engine, calls) == {0}
    with engine.store.read() as session:
        states = [session.get_one(Call, one.call.id).state for one in calls]
    assert sorted(states) == ["queued"] * 4 + ["succeeded"] * 2
