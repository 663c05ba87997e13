"""Ways for an engine to fail, and what is left of it."""

from collections.abc import Callable
from datetime import timedelta

from sqlmodel import select

from app.domain.errors import (
    ProviderError,
)
from app.models import Attempt, Backlog, Call
from app.pipeline.outcomes import Finished, erred
from app.pipeline.prepare import Prepared
from tests.fakes.engine import Engine


def make_due(engine: Engine) -> None:
    """Let every wait be over."""
    with engine.store.transaction() as tx:
        for model in (Call, Backlog):
            for row in tx.exec(select(model)):
                row.due_at = row.due_at - timedelta(days=1)


def failing(engine: Engine, make: Callable[[], ProviderError]) -> Callable[[Prepared], Finished]:
    """A provider that always fails in this way."""
    return lambda one: erred(one.call, make(), engine.policy, 5)


def run_failing(engine: Engine, make: Callable[[], ProviderError], turns: int = 20) -> None:
    """Send until nothing is left to send, with all waits over at once."""
    for _ in range(turns):
        engine.drain(failing(engine, make))
        make_due(engine)
    engine.drain(failing(engine, make))


def the_call(engine: Engine) -> Call:
    """The one call there is."""
    with engine.store.read() as session:
        return session.exec(select(Call)).one()


def attempts_of(engine: Engine) -> list[str]:
    """How the attempts of the one call ended, in order."""
    with engine.store.read() as session:
        return list(session.exec(select(Attempt.state).order_by(Attempt.epoch)).all())  # type: ignore[arg-type]
