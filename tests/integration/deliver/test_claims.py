"""A delivery is tried by one worker at a time, and found again when that one is lost."""

import re
import threading
from collections import Counter

import pytest
import sqlalchemy as sa
from sqlmodel import select

from app.domain.wire import Response
from app.models import Account, Endpoint
from app.pipeline.accounts import make_account
from app.pipeline.attempt import Answer
from app.pipeline.deliver import (
    ACCOUNT_AT_ONCE,
    ENDPOINT_AT_ONCE,
    GIVE_UP_S,
    claim_deliveries,
    is_delivery_due,
    record_answers,
)
from app.pipeline.services import Services
from app.webhooks.events import batch_event
from app.webhooks.outbox import record_event
from tests.factories.deliveries import (
    FakeSender,
    announce,
    answer,
    deliver,
    due,
    pass_the_wait,
    row_of,
    tell_many,
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
        deliver(services, sender)
    row = row_of(services, delivery_id)
    assert (row.state, row.attempts) == ("sending", 1)
    assert GIVE_UP_S - 10 < wait_of(services, delivery_id) <= GIVE_UP_S
    deliver(services, sender)
    assert len(sender.requests) == 1
    pass_the_wait(services)
    assert due(services) == [delivery_id]
    deliver(services, sender)
    assert row_of(services, delivery_id).state == "delivered"
    assert len({request.headers["webhook-id"] for request in sender.requests}) == 1


def test_w8_workers_that_are_lost_every_time_come_to_an_end(
    services: Services, account: Account
) -> None:
    delivery_id = announce(services, account, "https://hooks.example/")
    sender = FakeSender([KilledError() for _ in range(10)])
    for _ in range(10):
        with pytest.raises(KilledError):
            deliver(services, sender)
        pass_the_wait(services)
    deliver(services, sender)
    row = row_of(services, delivery_id)
    assert (row.state, row.error) == ("failed", "the worker of its last attempt was lost")


def test_q5_a_worker_that_comes_back_late_does_not_overwrite(
    services: Services, account: Account
) -> None:
    delivery_id = announce(services, account, "https://hooks.example/")

    def meanwhile() -> Response:
        pass_the_wait(services)
        other = threading.Thread(target=deliver, args=(services, FakeSender([answer(200)])))
        other.start()
        other.join()
        return answer(410)

    deliver(services, FakeSender([meanwhile]))
    row = row_of(services, delivery_id)
    assert (row.state, row.status_code, row.epoch) == ("delivered", 200, 2)
    with services.store.read() as session:
        assert session.exec(select(Endpoint)).one().disabled_at is None


def test_q18_the_same_hint_many_times_at_once_is_one_post(
    services: Services, account: Account, receiver: FakeReceiver
) -> None:
    delivery_id = announce(services, account, receiver.url)
    run_at_once(lambda _: deliver(services), 50, threads=8)
    assert len(receiver.journal) == 1
    assert row_of(services, delivery_id).state == "delivered"


def test_q21_a_hint_where_nothing_is_due_does_nothing(services: Services) -> None:
    assert deliver(services, FakeSender([])) == 0


def test_the_longest_due_come_first_and_no_more_than_there_is_room_for(
    services: Services, account: Account
) -> None:
    store = services.store
    first = announce(services, account, "https://hooks.example/")
    with store.transaction() as tx:
        event = batch_event("batch.failed", "batch_1", store.now(tx))
        [second] = record_event(tx, store, account.id, "batch_1", event)
    claims = [claim_deliveries(services, 1) for _ in range(3)]
    assert [[one.delivery.id for one in group] for group in claims] == [[first], [second], []]


def test_what_is_due_is_found_by_indexes(services: Services, account: Account) -> None:
    seen, store = {}, services.store
    announce(services, account, "https://hooks.example/")
    sa.event.listen(
        store.engine,
        "before_cursor_execute",
        lambda *args: seen.__setitem__(args[2], args[3]),
    )
    with store.read() as session:
        assert is_delivery_due(session, store)
    deliver(services, FakeSender([answer(500)]))
    explain = "EXPLAIN QUERY PLAN" if store.is_sqlite else "EXPLAIN"
    plans = []
    with store.engine.connect() as connection:
        if not store.is_sqlite:
            connection.exec_driver_sql("SET enable_seqscan = off")
        for statement, parameters in list(seen.items()):
            if "delivery" in statement and "INSERT" not in statement:
                rows = connection.exec_driver_sql(f"{explain} {statement}", parameters).all()
                plans.append("\n".join(str(row[-1]) for row in rows))
    assert len(plans) >= 5
    for plan in plans:
        assert "Seq Scan on delivery" not in plan
        assert not re.search(r"SCAN delivery(?! USING)", plan), plan
    if store.is_sqlite:  # of a few rows PostgreSQL reads any index
        assert any("ix_delivery_open" in plan for plan in plans)
        assert any("ix_delivery_sending" in plan for plan in plans)


def test_w9_no_more_than_so_many_attempts_are_under_way_to_one_endpoint(
    services: Services, account: Account
) -> None:
    slow = tell_many(services, account, "batch_1", 30)
    other = tell_many(services, account, "batch_2", 1)
    first = claim_deliveries(services, 100)
    by_endpoint = Counter(one.endpoint.id for one in first)
    assert sorted(by_endpoint.values()) == [1, ENDPOINT_AT_ONCE]
    # Another worker is handed nothing more of it, and neither is this one.
    assert claim_deliveries(services, 100) == []
    record_answers(services, [(first[0], Answer(200, head="ok"))])
    assert len(claim_deliveries(services, 100)) == int(first[0].endpoint.batch_id == "batch_1")
    assert len(slow) == 30
    assert other[0] in {one.delivery.id for one in first}


def test_w9_claims_at_once_keep_to_the_endpoints_cap(services: Services, account: Account) -> None:
    tell_many(services, account, "batch_1", 40)
    groups = run_at_once(lambda _: claim_deliveries(services, 100), 12, threads=6)
    claimed = [one.delivery.id for group in groups for one in group]
    assert len(claimed) == len(set(claimed)) == ENDPOINT_AT_ONCE


def test_w9_an_account_that_keeps_a_worker_busy_leaves_room_for_others(
    services: Services, account: Account
) -> None:
    tell_many(services, account, "batch_1", 30)
    with services.store.transaction() as tx:
        other = make_account(tx, services.vault, "two")
    tell_many(services, other, "batch_2", 3)
    busy = {account.id: ACCOUNT_AT_ONCE - 2}
    claims = claim_deliveries(services, 100, busy)
    assert Counter(one.account.id for one in claims) == {account.id: 2, other.id: 3}
