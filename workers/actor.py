"""What every actor is: a step's name, ids in, and one use case called."""

from collections.abc import Callable
from typing import TypeVar

import dramatiq
import structlog
from dramatiq import Broker

from app.domain.errors import UnavailableError
from app.queue import QUEUE, Step
from workers.runtime import Runtime

log = structlog.get_logger(__name__)

Body = Callable[..., object]
_B = TypeVar("_B", bound=Body)

#: Every step's one actor; filled by `@actor` as the modules beside this one are imported.
ACTORS: dict[Step, Body] = {}


def actor(step: Step) -> Callable[[_B], _B]:
    """Make a function, which is given the runtime and a hint's ids, the actor of a step."""

    def register(body: _B) -> _B:
        if step in ACTORS:
            raise ValueError(f"{step} has an actor already")
        ACTORS[step] = body
        return body

    return register


def follow(runtime: Runtime, step: Step, ids: tuple[object, ...]) -> None:
    """Follow a hint. Never raises: what failed is found again in the store by `reconcile`."""
    if not all(isinstance(one, str) for one in ids):
        log.warning("hint_ignored", step=step.value)
        return
    try:
        ACTORS[step](runtime, *ids)
    except UnavailableError:
        log.warning("step_postponed", step=step.value, ids=ids[:2])
    except Exception:
        log.exception("step_failed", step=step.value, ids=ids[:2])


def declare(broker: Broker, runtime: Runtime) -> None:
    """Make Dramatiq actors of all of them. No retries, no limits on time: the store has both."""
    for step in ACTORS:
        dramatiq.Actor(
            _follower(runtime, step),
            broker=broker,
            actor_name=step.value,
            queue_name=QUEUE,
            priority=0,
            options={},
        )


def _follower(runtime: Runtime, step: Step) -> Callable[..., None]:
    def follower(*ids: object) -> None:
        follow(runtime, step, ids)

    follower.__name__ = step.value
    return follower
