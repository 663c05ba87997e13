"""A delivery reaches its endpoint, signed, at least once, and is tried again until it does."""

import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import openai
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
from app.domain.secret import Secret
from app.domain.spec import WebhookBody
from app.domain.wire import Request, Response
from app.models import Account, Delivery, Endpoint, Event
from app.pipeline.accounts import make_account, webhook_secret_of
from app.pipeline.deliver import GIVE_UP_S, deliver, due_deliveries
from app.pipeline.endpoints import add_batch_endpoint
from app.pipeline.services import Services
from app.queue import Step
from app.settings import load_settings
from app.vault.master import Vault, new_fernet_key
from app.webhooks.events import batch_event, record_event
from app.webhooks.schedule import DELAYS_S, JITTER
from app.webhooks.signing import new_secret
from tests.fakes.http import Seen, respond
from tests.fakes.webhooks import FakeReceiver

SECRET = new_secret()


class NoQueue:
    """Hears no hint."""

    def send(self, step: Step, *ids: str) -> None:
        raise AssertionError(f"a hint of {step} {ids}")


@dataclass
class FakeSender:
    """Answers with these, in turn; an exception is raised, and a function called."""

    answers: list[Response | BaseException | Callable[[], Response]]
    requests: list[Request] = field(default_factory=list)

    async def send(self, request: Request, deadline_s: float) -> Response:
        assert deadline_s == 15
        self.requests.append(request)
        answer = self.answers.pop(0)
        if isinstance(answer, BaseException):
            raise answer
        return answer() if callable(answer) else answer

    async def close(self) -> None:
        """There is nothing to close."""


def answer(status: int, body: bytes = b"ok", **headers: str) -> Response:
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    return Response(status, names, body)


@pytest.fixture
def services(store: Store, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Services:
    monkeypatch.setenv("OVERNIGHT_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("OVERNIGHT_TRUSTED_HOSTS", "127.0.0.1")
    return Services(load_settings(), store, NoQueue(), Vault(new_fernet_key()))


@pytest.fixture
def account(services: Services) -> Account:
    with services.store.transaction() as tx:
        return make_account(tx, services.vault, "one")


@pytest.fixture
def receiver() -> Iterator[FakeReceiver]:
    with FakeReceiver() as receiver:
        yield receiver


def announce(services: Services, account: Account, url: str, secret: Secret | None = SECRET) -> str:
    """A batch that completed, to be told at a URL; the delivery's id."""
    store = services.store
    with store.transaction() as tx:
        now = store.now(tx)
        webhook = WebhookBody(url=url, secret=secret and secret.reveal())
        add_batch_endpoint(tx, services.vault, account, "batch_1", webhook, now)
        event = batch_event("batch.completed", "batch_1", now)
        [delivery_id] = record_event(tx, store, account.id, "batch_1", event)
    return delivery_id


def row_of(services: Services, delivery_id: str) -> Delivery:
    with services.store.read() as session:
        return session.get_one(Delivery, delivery_id)


def wait_of(services: Services, delivery_id: str) -> float:
    """Seconds until the delivery is due."""
    with services.store.read() as session:
        due_at = session.get_one(Delivery, delivery_id).due_at
        return (due_at - services.store.now(session)).total_seconds()


def pass_the_wait(services: Services) -> None:
    with services.store.transaction() as tx:
        tx.execute(services.store.sql("UPDATE delivery SET due_at = {after_ms(-1000)}"))


def due(services: Services) -> list[str]:
    with services.store.read() as session:
        return due_deliveries(session, 10)


def verified(seen: Seen, secret: Secret = SECRET) -> dict[str, object]:
    """The event, if all three libraries accept it."""
    headers, key = dict(seen.headers), secret.reveal()
    svix.webhooks.Webhook(key).verify(seen.body, headers)
    client = openai.OpenAI(api_key="none", webhook_secret=key)
    event = client.webhooks.unwrap(seen.body, headers)
    assert standardwebhooks.Webhook(key).verify(seen.body, headers)["id"] == event.id
    return event.model_dump()


def test_a_webhook_arrives_signed_as_three_libraries_check_it(
    services: Services, account: Account, receiver: FakeReceiver
) -> None:
    delivery_id = announce(services, account, receiver.url)
    deliver(services, delivery_id)
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
    deliver(services, announce(services, account, receiver.url, secret=None))
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
        deliver(Services(services.settings, store, services.queue, services.vault), delivery_id)
        store.close()
        row = row_of(services, delivery_id)
        assert row.attempts == attempt == len(receiver.journal)
        if attempt < 6:
            assert (row.state, row.status_code, row.error) == ("queued", 500, "answered 500")
            assert row.response_head == "not now"
            delay_s = DELAYS_S[attempt]
            assert delay_s - 5 < wait_of(services, delivery_id) <= delay_s * (1 + JITTER)
            assert due(services) == []
            deliver(services, delivery_id)
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
    deliver(services, delivery_id, sender)
    row = row_of(services, delivery_id)
    assert (row.state, row.status_code, row.error) == ("queued", None, "no whole answer")
    pass_the_wait(services)
    deliver(services, delivery_id, sender)
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
    deliver(services, delivery_id, FakeSender([error]))
    row = row_of(services, delivery_id)
    assert (row.state, row.error) == ("queued", str(error))


def test_w3_an_answer_too_large_to_read_is_still_an_answer(
    services: Services, account: Account
) -> None:
    delivery_id = announce(services, account, "https://hooks.example/")
    large = MalformedCompletionError("too large", reason="too_large", status_code=200)
    deliver(services, delivery_id, FakeSender([large]))
    assert row_of(services, delivery_id).state == "delivered"


def test_w3_an_endless_answer_is_cut_at_the_cap(
    services: Services, account: Account, receiver: FakeReceiver
) -> None:
    receiver.reply_with(respond(500, b"x" * 70_000))
    delivery_id = announce(services, account, receiver.url)
    deliver(services, delivery_id)
    row = row_of(services, delivery_id)
    assert row.state == "queued"
    assert "larger than 65536 bytes" in row.error


def test_w4_a_redirect_is_a_failure_and_not_followed(
    services: Services, account: Account, receiver: FakeReceiver
) -> None:
    receiver.reply_with(respond(307, headers={"location": f"{receiver.origin}/elsewhere"}))
    delivery_id = announce(services, account, receiver.url)
    deliver(services, delivery_id)
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
        event = batch_event("overnight.batch.started", "batch_1", store.now(tx))
        [second] = record_event(tx, store, account.id, "batch_1", event)
    for delivery_id in (first, second):
        deliver(services, delivery_id)
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
    deliver(services, delivery_id, FakeSender([answer(status, retry_after=asked)]))
    assert at_least_s <= wait_of(services, delivery_id) <= at_most_s


def test_w6_after_its_last_attempt_a_delivery_has_failed(
    services: Services, account: Account
) -> None:
    delivery_id = announce(services, account, "https://hooks.example/")
    sender = FakeSender([answer(500)] * 20)
    for _ in range(20):
        deliver(services, delivery_id, sender)
        pass_the_wait(services)
    row = row_of(services, delivery_id)
    assert (row.state, row.attempts, len(sender.requests)) == ("failed", 10, 10)
    assert row.closed_at is not None
    assert due(services) == []


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
    start = threading.Barrier(8)

    def hint() -> None:
        start.wait()
        deliver(services, delivery_id)

    threads = [threading.Thread(target=hint) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(receiver.journal) == 1
    assert row_of(services, delivery_id).state == "delivered"


@pytest.mark.parametrize("delivery_id", ["dlv_none", "", "'", "batch_1", "x" * 500])
def test_q21_a_hint_for_what_is_not_there_does_nothing(
    services: Services, delivery_id: str
) -> None:
    deliver(services, delivery_id, FakeSender([]))


def test_w11_the_signature_is_over_the_exact_bytes_sent(
    services: Services, account: Account, receiver: FakeReceiver
) -> None:
    delivery_id = announce(services, account, receiver.url)
    body = '{"type":"batch.completed","data":{"id":"é 🎉 \\u0000 \u2028"}}'
    with services.store.transaction() as tx:
        tx.execute(sa.update(Event).values(body=body))
    deliver(services, delivery_id)
    [seen] = receiver.journal
    assert seen.body == body.encode()
    assert standardwebhooks.Webhook(SECRET.reveal()).verify(seen.body, dict(seen.headers))


def test_x1_a_private_address_is_refused_at_the_attempt_too(
    services: Services, account: Account, receiver: FakeReceiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    delivery_id = announce(services, account, receiver.url)
    monkeypatch.setenv("OVERNIGHT_TRUSTED_HOSTS", "")
    strict = Services(load_settings(), services.store, services.queue, services.vault)
    deliver(strict, delivery_id)
    assert receiver.journal == []
    row = row_of(services, delivery_id)
    assert (row.state, row.status_code) == ("queued", None)
    assert "not allowed" in row.error


def test_k1_neither_the_store_nor_the_log_keeps_a_secret_that_is_echoed(
    services: Services, account: Account
) -> None:
    key = SECRET.reveal()
    bare = key.removeprefix("whsec_")
    echo = f"configured with {key}, that is {bare}\nAuthorization: Bearer abcdefghij\x00\x1b[31m"
    delivery_id = announce(services, account, "https://hooks.example/path-canary")
    with structlog.testing.capture_logs() as logs:
        deliver(services, delivery_id, FakeSender([answer(500, echo.encode() + b"\xff" * 3000)]))
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
    deliver(services, delivery_id, FakeSender([]))
    row = row_of(services, delivery_id)
    assert row.state == "queued"
    assert row.error == f"what is sealed in {endpoint_id} does not open there"


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
    statements: list[str] = []
    store = services.store
    sa.event.listen(
        store.engine, "before_cursor_execute", lambda *args: statements.append((args[2], args[3]))
    )
    with store.read() as session:
        if not store.is_sqlite:
            session.connection().exec_driver_sql("SET enable_seqscan = off")
        due_deliveries(session, 10)
        statement, parameters = statements[-1]
        explain = "EXPLAIN QUERY PLAN" if store.is_sqlite else "EXPLAIN"
        plan = session.connection().exec_driver_sql(f"{explain} {statement}", parameters).all()
    assert "ix_delivery_due" in str(plan)
    assert json.dumps(str(plan)).count("SCAN") == 0
