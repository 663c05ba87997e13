"""The courier carries what is due, many at a time, and lets no slow endpoint hold up another."""

import asyncio
import time
from collections.abc import Callable, Iterator

import pytest

from app.domain.wire import Request, Response
from app.models import Account
from app.pipeline.deliver import ENDPOINT_AT_ONCE
from app.pipeline.services import Services
from tests.factories.deliveries import announce, pass_the_wait, row_of, tell_many, wait_of
from tests.fakes.http import respond
from tests.fakes.webhooks import FakeReceiver
from workers.courier import Courier

WITHIN_S = 30.0


class Stuck:
    """A sender that answers for some batches, and never for the others."""

    def __init__(self, *stuck: str) -> None:
        self.stuck = stuck
        self.waiting = 0

    async def send(self, request: Request, deadline_s: float) -> Response:
        if any(batch_id.encode() in request.body for batch_id in self.stuck):
            self.waiting += 1
            await asyncio.Event().wait()
        return Response(200, {}, b"ok")

    async def close(self) -> None:
        """There is nothing to close."""


def until(true: Callable[[], bool]) -> None:
    """Wait for something to be so."""
    end = time.monotonic() + WITHIN_S
    while not true():
        assert time.monotonic() < end
        time.sleep(0.02)


@pytest.fixture
def couriers(services: Services) -> Iterator[Callable[..., Courier]]:
    """Couriers that are ended afterwards."""
    started = []

    def start(sender: object = None) -> Courier:
        courier = Courier(services, sender)
        started.append(courier)
        courier.start()
        return courier

    yield start
    for courier in started:
        courier.stop()


def state_of(services: Services, delivery_id: str) -> str:
    return row_of(services, delivery_id).state


def test_what_is_due_is_delivered_when_it_starts_and_when_it_is_woken(
    services: Services,
    account: Account,
    receiver: FakeReceiver,
    couriers: Callable[..., Courier],
) -> None:
    first = announce(services, account, receiver.url)
    courier = couriers()
    until(lambda: state_of(services, first) == "delivered")
    second = announce(services, account, receiver.url, batch_id="batch_2")
    courier.wake()
    until(lambda: state_of(services, second) == "delivered")
    assert len(receiver.journal) == 2


def test_a_failure_is_recorded_and_tried_again_when_it_is_due(
    services: Services,
    account: Account,
    receiver: FakeReceiver,
    couriers: Callable[..., Courier],
) -> None:
    receiver.reply_with(respond(500, b"not now"))
    delivery_id = announce(services, account, receiver.url)
    courier = couriers()
    until(lambda: row_of(services, delivery_id).status_code == 500)
    assert wait_of(services, delivery_id) > 0
    pass_the_wait(services)
    courier.wake()
    until(lambda: state_of(services, delivery_id) == "delivered")
    assert [seen.headers["webhook-id"] for seen in receiver.journal].count(
        receiver.journal[0].headers["webhook-id"]
    ) == 2


def test_w9_one_endpoint_that_never_answers_keeps_nobody_else_waiting(
    services: Services, account: Account, couriers: Callable[..., Courier]
) -> None:
    slow = tell_many(services, account, "batch_1", 200)
    quick = tell_many(services, account, "batch_2", 30)
    sender = Stuck("batch_1")
    couriers(sender)
    until(lambda: all(state_of(services, one) == "delivered" for one in quick))
    assert sender.waiting == ENDPOINT_AT_ONCE
    states = [state_of(services, one) for one in slow]
    assert states.count("sending") == ENDPOINT_AT_ONCE
    assert states.count("queued") == 200 - ENDPOINT_AT_ONCE


def test_o3_a_courier_that_is_stopped_leaves_what_it_did_not_finish_to_the_next(
    services: Services,
    account: Account,
    receiver: FakeReceiver,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("workers.courier._GRACE_S", 0.0)
    delivery_id = announce(services, account, receiver.url)
    stuck = Courier(services, Stuck("batch_1"))
    stuck.start()
    until(lambda: state_of(services, delivery_id) == "sending")
    stuck.stop()
    stuck.wake()  # a hint that comes late does no harm
    assert state_of(services, delivery_id) == "sending"
    pass_the_wait(services)
    courier = Courier(services)
    courier.start()
    until(lambda: state_of(services, delivery_id) == "delivered")
    courier.stop()
    assert len(receiver.journal) == 1
