"""The only door to the broker. A message is a hint: a step's name, and ids."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

import structlog
from dramatiq import Broker, Message
from dramatiq.brokers.redis import RedisBroker
from redis import Redis, RedisError

log = structlog.get_logger(__name__)

#: The queue every step shares; more queues only cost idle polls.
QUEUE = "overnight"
NAMESPACE = "overnight"
#: Consumers that sleep between polls are woken through this channel.
NUDGE_CHANNEL = "overnight:nudge"
#: Here is said which batch has no open job any more, for who waits for it.
DONE_CHANNEL = "overnight:done"
HEARTBEAT_TIMEOUT_MS = 30_000
_BROKER_TIMEOUT_S = 2.0
#: How long a broker that failed is left alone: a hint is never worth waiting for.
_BROKER_PAUSE_S = 2.0


class Step(StrEnum):
    """One kind of work. Every step has exactly one actor, which calls one use case."""

    PLAN = "plan"  # batch
    DISPATCH = "dispatch"  # provider, lane
    ADVANCE = "advance"  # batch, jobs…
    JUDGE = "judge"  # batch, jobs…
    BLEND = "blend"  # batch, jobs…
    FINALIZE = "finalize"  # batch
    DELIVER = "deliver"  # nothing
    PURGE = "purge"  # purge
    RECONCILE = "reconcile"  # nothing


class Queue(Protocol):
    """Says that there is work for a step."""

    def send(self, step: Step, *ids: str) -> None:
        """Say it now. Never raises: what is not heard, `reconcile` finds in the store."""
        ...


class Committing(Protocol):
    """Anything that will commit, and says when it has."""

    def after_commit(self, hook: Callable[[], None]) -> None:
        """Run `hook` once what it does is durable."""
        ...


class BrokerQueue:
    """Hints through Dramatiq's broker on Redis."""

    def __init__(self, broker: Broker) -> None:
        self.broker = broker
        self._paused_until = 0.0

    def send(self, step: Step, *ids: str) -> None:
        """Enqueue a hint, and wake an idle consumer."""
        if time.monotonic() < self._paused_until:
            return
        message: Message[None] = Message(
            queue_name=QUEUE, actor_name=step.value, args=ids, kwargs={}, options={}
        )
        try:
            self.broker.enqueue(message)
            if isinstance(self.broker, RedisBroker):
                self.broker.client.publish(NUDGE_CHANNEL, step.value)
                if step is Step.FINALIZE:
                    self.broker.client.publish(DONE_CHANNEL, ids[0])
        except (RedisError, OSError) as error:
            self._paused_until = time.monotonic() + _BROKER_PAUSE_S
            log.warning("broker_unavailable", error=type(error).__name__)

    def close(self) -> None:
        """Close every connection."""
        if isinstance(self.broker, RedisBroker):
            self.broker.client.close()


def send_after_commit(tx: Committing, queue: Queue, step: Step, *ids: str) -> None:
    """Say that there is work for a step, once the transaction that made it is durable."""
    tx.after_commit(lambda: queue.send(step, *ids))


def redis_client(url: str) -> "Redis":
    """A client that fails fast: the broker is a hint."""
    return Redis.from_url(
        url,
        socket_timeout=_BROKER_TIMEOUT_S,
        socket_connect_timeout=_BROKER_TIMEOUT_S,
        health_check_interval=0,
    )


@dataclass(frozen=True, slots=True)
class BrokerHealth:
    """A broker that can be reached. The policy is None where it may not be asked for."""

    eviction_policy: str | None


def look_at_broker(url: str) -> BrokerHealth | None:
    """The broker as it is now; None if it cannot be reached."""
    try:
        with redis_client(url) as client:
            client.ping()
            try:
                # Not CONFIG GET, which a managed server refuses.
                policy = client.info("memory").get("maxmemory_policy")
            except RedisError:
                policy = None
    except (RedisError, OSError):
        return None
    return BrokerHealth(str(policy) if policy else None)


def make_broker(url: str) -> RedisBroker:
    """Dramatiq's broker as a wake-up call: no retries, no results, quick maintenance.

    Dead processes' messages are put back on every poll, not once in a thousand.
    """
    return RedisBroker(
        client=redis_client(url),
        middleware=[],
        namespace=NAMESPACE,
        maintenance_chance=1_000_000,
        heartbeat_timeout=HEARTBEAT_TIMEOUT_MS,
    )
