"""What an endpoint answers decides whether, and when, it is told again."""

from dataclasses import replace
from datetime import timedelta

import pytest
import sqlalchemy as sa
import standardwebhooks
import structlog
import svix.webhooks
from sqlmodel import select

from app.db import Store
from app.domain.errors import (
    AddressRefusedError,
    MalformedCompletionError,
    OutcomeUnknownError,
    ProviderUnavailableError,
)
from app.models import Account, Endpoint, Event
from app.pipeline.accounts import webhook_secret_of
from app.pipeline.services import Services
from app.settings import load_settings
from app.webhooks.events import batch_event
from app.webhooks.outbox import record_event
from app.webhooks.schedule import DELAYS_S, JITTER
from tests.factories.deliveries import (
    SECRET,
    FakeSender,
    announce,
    answer,
    deliver,
    due,
    pass_the_wait,
    row_of,
    verified,
    wait_of,
)
from tests.fakes.http import respond
from tests.fakes.webhooks import FakeReceiver


def test_a_webhook_arrives_signed_as_three_libraries_check_it(
    services: Services, account: Account, receiver: FakeReceiver
) -> None:
    delivery_id = announce(services, account, receiver.url)
    deliver(services)
    [seen] = receiver.journal
    event = verified(seen)
    assert (event["type"], event["data"]["id"]) == ("batch.completed", "batch_1")
    assert seen.method == "POST"
    assert seen.headers["webhook-id"] == event["id"]
    assert seen.headers["content-type"] == "application/json"
    row = row_of(services, delivery_id)
    assert (row.state, row.status_code, row.attempts) == ("delivered", 200, 1)
    assert (row.error, row.response_head) == (None, "ok")
    assert row.closed_at is not None
    assert due(services) == []


def test_without_a_secret_of_its_own_the_accounts_signs(
    services: Services, account: Account, receiver: FakeReceiver
) -> None:
    announce(services, account, receiver.url, secret=None)
    deliver(services)
    with services.store.read() as session:
        secret = webhook_secret_of(session, services.vault, account.id)
    assert verified(receiver.journal[0], secret)
    with pytest.raises(svix.webhooks.WebhookVerificationError):
        verified(receiver.journal[0])


def test_w1_a_failing_receiver_is_tried_again_with_the_same_id_and_a_new_signature(
    services: Services, account: Account, receiver: FakeReceiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    receiver.reply_with(*[respond(500, b"not now")] * 5)
    delivery_id = announce(services, account, receiver.url)
    for attempt in range(1, 7):
        # Each attempt a second later by the store's clock, and after a restart.
        store = Store(services.store.url.render_as_string(hide_password=False))
        shift = timedelta(seconds=attempt)
        monkeypatch.setattr(store, "now", lambda tx, shift=shift: Store.now(tx) + shift)
        deliver(replace(services, store=store))
        store.close()
        row = row_of(services, delivery_id)
        assert row.attempts == attempt == len(receiver.journal)
        if attempt < 6:
            assert (row.state, row.status_code, row.error) == ("queued", 500, "answered 500")
            assert row.response_head == "not now"
            delay_s = DELAYS_S[attempt]
            assert delay_s - 5 < wait_of(services, delivery_id) <= delay_s * (1 + JITTER)
            assert due(services) == []
            deliver(services)
            pass_the_wait(services)
            assert due(services) == [delivery_id]
    assert row_of(services, delivery_id).state == "delivered"
    assert [verified(seen)["id"] for seen in receiver.journal] == [
        receiver.journal[0].headers["webhook-id"]
    ] * 6
    for name in ("webhook-timestamp", "webhook-signature"):
        assert len({seen.headers[name] for seen in receiver.journal}) == 6


def test_w2_a_connection_that_drops_before_the_reply_is_tried_again(
    services: Services, account: Account
) -> None:
    delivery_id = announce(services, account, "https://hooks.example/")
    sender = FakeSender([OutcomeUnknownError("no whole answer", reason="dropped"), answer(204)])
    deliver(services, sender)
    row = row_of(services, delivery_id)
    assert (row.state, row.status_code, row.error) == ("queued", None, "no whole answer")
    pass_the_wait(services)
    deliver(services, sender)
    assert row_of(services, delivery_id).state == "delivered"
    first, second = sender.requests
    assert first.headers["webhook-id"] == second.headers["webhook-id"]


@pytest.mark.parametrize(
    "error",
    [
        OutcomeUnknownError("too slow", reason="timeout"),
        ProviderUnavailableError("no connection", reason="connect"),
        AddressRefusedError("private"),
        MalformedCompletionError("too large", reason="too_large"),
        MalformedCompletionError("too large", reason="too_large", status_code=500),
    ],
    ids=["timeout", "connect", "address", "large", "large_500"],
)
def test_w3_whatever_keeps_the_answer_away_is_a_failure_that_is_tried_again(
    services: Services, account: Account, error: Exception
) -> None:
    delivery_id = announce(services, account, "https://hooks.example/")
    deliver(services, FakeSender([error]))
    row = row_of(services, delivery_id)
    assert (row.state, row.error) == ("queued", str(error))


def test_w3_an_answer_too_large_to_read_is_still_an_answer(
    services: Services, account: Account
) -> None:
    delivery_id = announce(services, account, "https://hooks.example/")
    large = MalformedCompletionError("too large", reason="too_large", status_code=200)
    deliver(services, FakeSender([large]))
    assert row_of(services, delivery_id).state == "delivered"


def test_w3_an_endless_answer_is_cut_at_the_cap(
    services: Services, account: Account, receiver: FakeReceiver
) -> None:
    receiver.reply_with(respond(500, b"x" * 70_000))
    delivery_id = announce(services, account, receiver.url)
    deliver(services)
    row = row_of(services, delivery_id)
    assert row.state == "queued"
    assert "larger than 65536 bytes" in row.error


def test_w4_a_redirect_is_a_failure_and_not_followed(
    services: Services, account: Account, receiver: FakeReceiver
) -> None:
    receiver.reply_with(respond(307, headers={"location": f"{receiver.origin}/elsewhere"}))
    delivery_id = announce(services, account, receiver.url)
    deliver(services)
    row = row_of(services, delivery_id)
    assert (row.state, row.status_code) == ("queued", 307)
    assert [seen.path for seen in receiver.journal] == ["/hook"]


def test_w5_gone_disables_the_endpoint_and_what_else_waits_for_it(
    services: Services, account: Account, receiver: FakeReceiver
) -> None:
    receiver.reply_with(respond(410))
    first = announce(services, account, receiver.url)
    store = services.store
    with store.transaction() as tx:
        event = batch_event("batch.failed", "batch_1", store.now(tx))
        [second] = record_event(tx, store, account.id, "batch_1", event)
    for _ in range(2):
        deliver(services, room=1)
    assert [row_of(services, id_).state for id_ in (first, second)] == ["failed", "cancelled"]
    assert row_of(services, second).error == "the endpoint is disabled"
    with store.read() as session:
        assert session.exec(select(Endpoint)).one().disabled_at is not None
    assert len(receiver.journal) == 1
    assert due(services) == []


@pytest.mark.parametrize(
    ("status", "asked", "at_least_s", "at_most_s"),
    [
        (429, "120", 100, 132),
        (503, "120", 100, 132),
        (503, "1000000000", 80_000, 95_041),
        (429, "-5", 0, 5.5),
        (429, "soon", 0, 5.5),
        (500, "120", 0, 5.5),
    ],
)
def test_w5_what_a_throttling_receiver_asks_for_is_honoured_and_clamped(
    services: Services,
    account: Account,
    status: int,
    asked: str,
    at_least_s: float,
    at_most_s: float,
) -> None:
    delivery_id = announce(services, account, "https://hooks.example/")
    deliver(services, FakeSender([answer(status, retry_after=asked)]))
    assert at_least_s <= wait_of(services, delivery_id) <= at_most_s


def test_w6_after_its_last_attempt_a_delivery_has_failed(
    services: Services, account: Account
) -> None:
    delivery_id = announce(services, account, "https://hooks.example/")
    sender = FakeSender([answer(500)] * 20)
    for _ in range(20):
        deliver(services, sender)
        pass_the_wait(services)
    row = row_of(services, delivery_id)
    assert (row.state, row.attempts, len(sender.requests)) == ("failed", 10, 10)
    assert row.closed_at is not None
    assert due(services) == []


def test_w11_the_signature_is_over_the_exact_bytes_sent(
    services: Services, account: Account, receiver: FakeReceiver
) -> None:
    announce(services, account, receiver.url)
    body = '{"type":"batch.completed","data":{"id":"é 🎉 \\u0000 \u2028"}}'
    with services.store.transaction() as tx:
        tx.execute(sa.update(Event).values(body=body))
    deliver(services)
    [seen] = receiver.journal
    assert seen.body == body.encode()
    assert standardwebhooks.Webhook(SECRET.reveal()).verify(seen.body, dict(seen.headers))


def test_x1_a_private_address_is_refused_at_the_attempt_too(
    services: Services, account: Account, receiver: FakeReceiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    delivery_id = announce(services, account, receiver.url)
    monkeypatch.setenv("OVERNIGHT_TRUSTED_HOSTS", "")
    deliver(replace(services, settings=load_settings()))
    assert receiver.journal == []
    row = row_of(services, delivery_id)
    assert (row.state, row.status_code) == ("queued", None)
    assert "not allowed" in row.error


def test_x13_what_has_become_the_apis_own_address_is_refused_at_the_attempt(
    services: Services, account: Account, receiver: FakeReceiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    delivery_id = announce(services, account, receiver.url)
    monkeypatch.setenv("OVERNIGHT_PORT", str(receiver.port))
    deliver(replace(services, settings=load_settings()))
    assert receiver.journal == []
    row = row_of(services, delivery_id)
    assert (row.state, row.error) == ("queued", "the URL is this API's own")


def test_k1_neither_the_store_nor_the_log_keeps_a_secret_that_is_echoed(
    services: Services, account: Account
) -> None:
    key = SECRET.reveal()
    bare = key.removeprefix("whsec_")
    echo = f"configured with {key}, that is {bare}\nAuthorization: Bearer abcdefghij\x00\x1b[31m"
    delivery_id = announce(services, account, "https://hooks.example/path-canary")
    with structlog.testing.capture_logs() as logs:
        deliver(services, FakeSender([answer(500, echo.encode() + b"\xff" * 3000)]))
    head = row_of(services, delivery_id).response_head
    assert head.startswith("configured with ***, that is *** Authorization: Bearer ***")
    assert head.isprintable()
    assert len(head) == 1024
    assert bare not in str(logs)
    assert "path-canary" not in str(logs)
    assert [entry["status_code"] for entry in logs] == [500]


def test_k5_a_secret_that_does_not_open_is_told_by_its_row_and_tried_again(
    services: Services, account: Account
) -> None:
    delivery_id = announce(services, account, "https://hooks.example/")
    with services.store.transaction() as tx:
        tx.execute(sa.update(Endpoint).values(secret_sealed="damaged"))
        endpoint_id = tx.exec(select(Endpoint.id)).one()
    deliver(services, FakeSender([]))
    row = row_of(services, delivery_id)
    assert row.state == "queued"
    assert row.error == f"what is sealed in {endpoint_id} does not open there"
