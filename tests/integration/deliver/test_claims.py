"""A delivery is tried by one worker at a time, and found again when that one is lost."""

import threading

import pytest
import sqlalchemy as sa
from sqlmodel import select

from app.domain.wire import Response
from app.models import Account, Endpoint
from app.pipeline.deliver import GIVE_UP_S, deliver, due_deliveries
from app.pipeline.services import Services
from app.webhooks.events import batch_event, record_event
from tests.factories.deliveries import (
    FakeSender,
    announce,
    answer,
    due,
    pass_the_wait,
    row_of,
    wait_of,
)
from tests.factories.racing import run_at_once
from tests.fakes.webhooks import FakeReceiver


class KilledError(BaseException):
    """The worker is no more."""


def test_w8_an_attempt_whose_worker_was_lost_is_found_and_made_again(
    services: Services, account: Account
) -> None:
    delivery_id = announce(services, account, "https://hooks.example/")
    sender = FakeSender([KilledError(), answer(200)])
    with pytest.raises(KilledError):
        deliver(services, delivery_id, sender)
    row = row_of(services, delivery_id)
    assert (row.state, row.attempts) == ("sending", 1)
    assert GIVE_UP_S - 10 < wait_of(services, delivery_id) <= GIVE_UP_S
    deliver(services, delivery_id, sender)
    assert len(sender.requests) == 1
    pass_the_wait(services)
    assert due(services) == [delivery_id]
    deliver(services, delivery_id, sender)
    assert row_of(services, delivery_id).state == "delivered"
    assert len({request.headers["webhook-id"] for request in sender.requests}) == 1


def test_w8_workers_that_are_lost_every_time_come_to_an_end(
    services: Services, account: Account
) -> None:
    delivery_id = announce(services, account, "https://hooks.example/")
    sender = FakeSender([KilledError() for _ in range(10)])
    for _ in range(10):
        with pytest.raises(KilledError):
            deliver(services, delivery_id, sender)
        pass_the_wait(services)
    deliver(services, delivery_id, sender)
    row = row_of(services, delivery_id)
    assert (row.state, row.error) == ("failed", "the worker of its last attempt was lost")


def test_q5_a_worker_that_comes_back_late_does_not_overwrite(
    services: Services, account: Account
) -> None:
    delivery_id = announce(services, account, "https://hooks.example/")

    def meanwhile() -> Response:
        pass_the_wait(services)
        other = threading.Thread(
            target=deliver, args=(services, delivery_id, FakeSender([answer(200)]))
        )
        other.start()
        other.join()
        return answer(410)

    deliver(services, delivery_id, FakeSender([meanwhile]))
    row = row_of(services, delivery_id)
    assert (row.state, row.status_code, row.epoch) == ("delivered", 200, 2)
    with services.store.read() as session:
        assert session.exec(select(Endpoint)).one().disabled_at is None


def test_q18_the_same_hint_many_times_at_once_is_one_post(
    services: Services, account: Account, receiver: FakeReceiver
) -> None:
    delivery_id = announce(services, account, receiver.url)
    run_at_once(lambda _: deliver(services, delivery_id), 50, threads=8)
    assert len(receiver.journal) == 1
    assert row_of(services, delivery_id).state == "delivered"


@pytest.mark.parametrize("delivery_id", ["dlv_none", "", "'", "batch_1", "x" * 500])
def test_q21_a_hint_for_what_is_not_there_does_nothing(
    services: Services, delivery_id: str
) -> None:
    deliver(services, delivery_id, FakeSender([]))


def test_the_longest_due_come_first_and_no_more_than_asked_for(
    services: Services, account: Account
) -> None:
    store = services.store
    first = announce(services, account, "https://hooks.example/")
    with store.transaction() as tx:
        event = batch_event("overnight.batch.started", "batch_1", store.now(tx))
        [second] = record_event(tx, store, account.id, "batch_1", event)
    with store.read() as session:
        assert due_deliveries(session, 10) == [first, second]
        assert due_deliveries(session, 1) == [first]


def test_due_deliveries_are_found_by_their_index(services: Services) -> None:
    statements, store = [], services.store
    sa.event.listen(
        store.engine, "before_cursor_execute", lambda *args: statements.append(args[2:4])
    )
    with store.read() as session:
        if not store.is_sqlite:
            session.connection().exec_driver_sql("SET enable_seqscan = off")
        due_deliveries(session, 10)
        statement, parameters = statements[-1]
        explain = "EXPLAIN QUERY PLAN" if store.is_sqlite else "EXPLAIN"
        plan = session.connection().exec_driver_sql(f"{explain} {statement}", parameters).all()
    assert "ix_delivery_due" in str(plan)
    assert ("(due_at<?)" if store.is_sqlite else "Index Cond: (due_at <= ") in str(plan)
