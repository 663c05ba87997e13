"""Real adapters and senders against a provider over HTTP, and workers that learn from it."""

from collections.abc import AsyncIterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import Any

from sqlmodel import select

from app.domain.secret import Secret
from app.models import Account, Batch, Call, Lane
from app.pipeline.prepare import Prepared
from app.reports.views import WaitingOn
from app.reports.waiting import waiting_on
from app.vault.provider_keys import KeySetting, set_provider_key
from tests.fakes.clock import FakeClock
from tests.fakes.engine import Engine
from tests.fakes.flight import FlyingWorker
from tests.fakes.provider import FakeProvider
from tests.fakes.redis import FakeSharedServer

#: A model of each vendor whose errors differ.
MODELS = {
    "anthropic": "anthropic/claude-sonnet-4-5",
    "google": "google/gemini-2.5-flash",
    "openai": "openai/gpt-4o",
    "xai": "xai/grok-4",
}


def set_key(engine: Engine, provider: FakeProvider, vendor: str, key: str = "sk-made-up-1") -> None:
    """Give the account a key of a vendor, who is asked at the fake provider."""
    with engine.store.transaction() as tx:
        account = tx.get_one(Account, engine.account_id)
        setting = KeySetting(vendor, Secret(key), provider.url)
        set_provider_key(tx, engine.services.vault, account, setting)


def claimed(
    engine: Engine, provider: FakeProvider, vendor: str, calls: int, *, claim_of: int | None = None
) -> list[Prepared]:
    """Calls to a vendor, all of them or so many claimed and not yet sent."""
    set_key(engine, provider, vendor)
    prompts = [f"prompt {number}" for number in range(calls)]
    engine.submit(prompts, models=[MODELS[vendor]], params={"max_tokens": 50})
    engine.follow(*engine.queue.hints.popleft())
    return engine.claim(wanted=claim_of or calls)


@asynccontextmanager
async def workers(
    engine: Engine, clock: FakeClock, count: int = 2
) -> AsyncIterator[list[FlyingWorker]]:
    """So many workers that share limits and breakers."""
    server = FakeSharedServer(clock)
    with ThreadPoolExecutor(1) as executor:
        made = [FlyingWorker(engine, server, f"wrk_{n}", executor) for n in range(count)]
        try:
            yield made
        finally:
            for one in made:
                await one.close()


def shown(engine: Engine) -> WaitingOn | None:
    """What the one batch says that it waits for."""
    with engine.store.read() as session:
        return waiting_on(session, session.exec(select(Batch)).one(), engine.store.now(session))


def lane_of(engine: Engine) -> Lane:
    """The one lane as it is now."""
    with engine.store.read() as session:
        return session.exec(select(Lane)).one()


def google_error(status: int, word: str, *details: Mapping[str, Any], message: str = "No.") -> Any:
    """An error in Google's shape."""
    error = {"code": status, "message": message, "status": word, "details": list(details)}
    return {"error": error}


def anthropic_error(kind: str, code: str | None = None, message: str = "No.") -> Any:
    """An error in Anthropic's shape."""
    details = {} if code is None else {"details": {"error_code": code}}
    return {"type": "error", "error": {"type": kind, "message": message, **details}}


def openai_error(message: str, code: str | None = None) -> Any:
    """An error in OpenAI's shape."""
    return {"error": {"message": message, "type": "requests", "param": None, "code": code}}


def seconds_left(engine: Engine, moment: Any) -> float:
    """Until then, by the store's clock."""
    with engine.store.read() as session:
        return float((moment - engine.store.now(session)).total_seconds())


def attempts_counted(engine: Engine, calls: Sequence[Prepared]) -> set[int]:
    """How many attempts of these calls count, each."""
    with engine.store.read() as session:
        return {session.get_one(Call, one.call.id).attempts for one in calls}
