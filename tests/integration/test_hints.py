"""Hints through a real broker: heard at once, and never missed for long."""

import threading
import time
from collections.abc import Iterator

import dramatiq
import pytest

from app.queue import QUEUE, BrokerQueue, Step, make_broker
from tests.servers import ValkeyServer, valkey_server
from workers.broker import Hands, NudgedBroker


class Ear:
    """An actor that notes what it hears."""

    def __init__(self, broker: NudgedBroker) -> None:
        self.heard: list[tuple[object, ...]] = []
        self.came = threading.Semaphore(0)
        dramatiq.Actor(
            self.hear,
            broker=broker,
            actor_name=Step.PLAN.value,
            queue_name=QUEUE,
            priority=0,
            options={},
        )

    def hear(self, *ids: object) -> None:
        """Note a hint."""
        self.heard.append(ids)
        self.came.release()

    __name__ = "hear"


@pytest.fixture
def own_valkey() -> Iterator[ValkeyServer]:
    """A Valkey that the test may kill."""
    with valkey_server() as server:
        yield server


@pytest.fixture
def ear(own_valkey: ValkeyServer) -> Iterator[Ear]:
    """Two threads that listen."""
    broker = NudgedBroker(own_valkey.url)
    made = Ear(broker)
    hands = Hands(broker, 2)
    hands.start()
    yield made
    hands.stop(2)


@pytest.fixture
def queue(own_valkey: ValkeyServer) -> Iterator[BrokerQueue]:
    """Whoever sends hints."""
    made = BrokerQueue(make_broker(own_valkey.url))
    yield made
    made.close()


def test_a_hint_is_heard_much_sooner_than_an_idle_poll(ear: Ear, queue: BrokerQueue) -> None:
    time.sleep(0.5)  # idle consumers sleep for up to a second
    waits = []
    for n in range(10):
        began = time.monotonic()
        queue.send(Step.PLAN, f"batch_{n}")
        assert ear.came.acquire(timeout=5)
        waits.append(time.monotonic() - began)
    assert sorted(waits)[5] < 0.25
    assert ear.heard == [(f"batch_{n}",) for n in range(10)]


def test_hints_are_heard_again_after_the_broker_came_back_empty(
    ear: Ear, own_valkey: ValkeyServer, queue: BrokerQueue
) -> None:
    queue.send(Step.PLAN, "before")
    assert ear.came.acquire(timeout=5)
    own_valkey.kill9()
    queue.send(Step.PLAN, "lost")
    own_valkey.restart()
    deadline = time.monotonic() + 20
    while ("after",) not in ear.heard and time.monotonic() < deadline:
        queue.send(Step.PLAN, "after")
        ear.came.acquire(timeout=1)
    assert ("after",) in ear.heard
    assert ("lost",) not in ear.heard


def test_sending_to_a_broker_that_is_away_neither_raises_nor_waits_each_time(
    own_valkey: ValkeyServer, queue: BrokerQueue
) -> None:
    own_valkey.kill9()
    began = time.monotonic()
    for _ in range(100):
        queue.send(Step.PLAN, "batch_1")
    assert time.monotonic() - began < 5
