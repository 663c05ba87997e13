"""Dramatiq's broker as our workers use it: woken when there is something, quiet otherwise."""

import threading
import time
from collections.abc import Callable

import redis
import structlog
from dramatiq import Worker
from dramatiq.broker import MessageProxy
from dramatiq.brokers.redis import RedisBroker, _RedisConsumer
from typing_extensions import override

from app.queue import HEARTBEAT_TIMEOUT_MS, NAMESPACE, NUDGE_CHANNEL, QUEUE, Step, redis_client

log = structlog.get_logger(__name__)

#: How long a consumer sleeps if no nudge comes; what a lost nudge costs.
IDLE_S = 1.0
#: The same while its threads are busy: room may come free without a nudge.
BUSY_S = 0.02
_RECONNECT_S = 1.0
_DISPATCH = Step.DISPATCH.value.encode()
_HEARTBEAT_S = 2.0
_SIDE_STOP_S = 2.0


class Nudge:
    """Wakes every consumer that sleeps. A count, so that a nudge between two looks is seen."""

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._count = 0

    @property
    def count(self) -> int:
        """How many nudges there were."""
        return self._count

    def give(self) -> None:
        """Wake them."""
        with self._condition:
            self._count += 1
            self._condition.notify_all()

    def wait(self, seen: int, timeout_s: float) -> None:
        """Sleep until there was a nudge after `seen`, or the time is over."""
        with self._condition:
            self._condition.wait_for(lambda: self._count != seen, timeout_s)


class NudgedConsumer(_RedisConsumer):
    """Dramatiq's consumer, sleeping on a nudge instead of polling ever more slowly."""

    broker: "NudgedBroker"

    @override
    def __next__(self) -> MessageProxy | None:
        seen = self.broker.nudge.count
        message: MessageProxy | None = super().__next__()  # type: ignore[no-untyped-call]
        if message is None:
            busy = self.outstanding_message_count > 0
            self.broker.nudge.wait(seen, BUSY_S if busy else IDLE_S)
        return message


class NudgedBroker(RedisBroker):
    """The worker's broker. Messages of dead processes are put back at every poll."""

    def __init__(self, url: str) -> None:
        super().__init__(  # type: ignore[no-untyped-call]
            client=redis_client(url),
            middleware=[],
            namespace=NAMESPACE,
            maintenance_chance=1_000_000,
            heartbeat_timeout=HEARTBEAT_TIMEOUT_MS,
        )
        self.nudge = Nudge()

    @property
    @override
    def consumer_class(self) -> type[NudgedConsumer]:
        return NudgedConsumer

    @override
    def consume(self, queue_name: str, prefetch: int = 1, timeout: int = 5000) -> NudgedConsumer:
        """A consumer that does not sleep inside Dramatiq: it sleeps on the nudge."""
        return NudgedConsumer(self, queue_name, prefetch, 0)  # type: ignore[no-untyped-call]


class Side(threading.Thread):
    """A daemon thread that does something over and over, and outlives a broker that is away."""

    def __init__(self, name: str, body: Callable[[threading.Event], None]) -> None:
        super().__init__(name=name, daemon=True)
        self._body = body
        self._stopping = threading.Event()

    @override
    def run(self) -> None:
        """Until stopped."""
        while not self._stopping.is_set():
            try:
                self._body(self._stopping)
            except (redis.RedisError, OSError) as error:
                log.debug("broker_away", thread=self.name, error=type(error).__name__)
                self._stopping.wait(_RECONNECT_S)
            except Exception:
                log.exception("side_thread_failed", thread=self.name)
                self._stopping.wait(_RECONNECT_S)

    def stop(self) -> None:
        """End soon."""
        self._stopping.set()

    def wait(self, seconds: float) -> bool:
        """Sleep, unless it is stopped; answers whether it is."""
        return self._stopping.wait(seconds)


def listen(broker: NudgedBroker, wake_pump: Callable[[], None]) -> Side:
    """Hear nudges from whoever sends hints; that of dispatch is as good as the hint itself."""

    def body(stopping: threading.Event) -> None:
        with broker.client.pubsub(ignore_subscribe_messages=True) as channel:
            channel.subscribe(NUDGE_CHANNEL)
            broker.nudge.give()  # what was sent while we were deaf
            while not stopping.is_set():
                message = channel.get_message(timeout=IDLE_S)
                if message is not None:
                    if message["data"] == _DISPATCH:
                        wake_pump()
                    broker.nudge.give()

    return Side("nudges", body)


def keep_alive(broker: NudgedBroker) -> Side:
    """A heartbeat of its own: Dramatiq's is a side effect of polls, and stops when all is busy."""

    def body(stopping: threading.Event) -> None:
        while not stopping.wait(_HEARTBEAT_S):
            broker.do_qsize(QUEUE)

    return Side("heartbeat", body)


class Hands:
    """Dramatiq's worker threads with what keeps them awake and alive."""

    def __init__(
        self, broker: NudgedBroker, threads: int, wake_pump: Callable[[], None] = lambda: None
    ) -> None:
        self._broker = broker
        self._worker = Worker(broker, worker_threads=threads, worker_timeout=round(IDLE_S * 1000))
        self._sides = [listen(broker, wake_pump), keep_alive(broker)]

    def start(self) -> None:
        """Begin to consume."""
        self._worker.start()
        for side in self._sides:
            side.start()

    def stop(self, timeout_s: float) -> None:
        """Take no more messages, and wait for the actors that run."""
        for side in self._sides:
            side.stop()
        self._broker.nudge.give()
        started = time.monotonic()
        self._worker.stop(timeout=round(timeout_s * 1000))
        for side in self._sides:
            side.join(timeout=_SIDE_STOP_S)
        self._broker.client.close()
        log.info("hands_stopped", seconds=round(time.monotonic() - started, 2))
