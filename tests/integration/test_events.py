"""An event is written once, in OpenAI's shape, with a delivery for each endpoint of its batch."""

import json
from datetime import UTC, datetime

import pytest
import sqlalchemy as sa
from openai.types.webhooks.batch_completed_webhook_event import BatchCompletedWebhookEvent
from sqlmodel import select

from app.db import Store
from app.domain.errors import InvalidRequestError
from app.domain.spec import WebhookBody
from app.models import Account, Batch, Delivery, Endpoint, Event
from app.pipeline.accounts import make_account
from app.pipeline.endpoints import add_batch_endpoint, check_webhook
from app.settings import Settings
from app.vault.master import Vault, new_fernet_key
from app.webhooks.events import (
    EventType,
    batch_event,
    endpoint_disabled,
    lane_parked,
    progress_of,
)
from app.webhooks.outbox import record_event
from app.webhooks.signing import new_secret
from tests.factories import make_batch
from tests.factories.racing import run_at_once

URL = "https://hooks.example/overnight"


@pytest.fixture
def vault() -> Vault:
    return Vault(new_fernet_key())


@pytest.fixture
def account(store: Store, vault: Vault) -> Account:
    with store.transaction() as tx:
        account = make_account(tx, vault, "one")
        for batch_id in ("batch_1", "batch_2"):
            make_batch(tx, account, id=batch_id)
            webhook = WebhookBody(url=URL, event_types=[kind.value for kind in EventType])
            add_batch_endpoint(tx, vault, account, batch_id, webhook, store.now(tx))
    return account


def happen(store: Store, account: Account, kind: str, batch_id: str = "batch_1") -> list[str]:
    with store.transaction() as tx:
        event = batch_event(kind, batch_id, store.now(tx))
        return record_event(tx, store, account.id, batch_id, event)


def test_an_event_has_a_delivery_for_its_batchs_endpoint_alone(
    store: Store, account: Account
) -> None:
    ids = happen(store, account, "batch.completed")
    with store.read() as session:
        [event] = session.exec(select(Event)).all()
        [delivery] = session.exec(select(Delivery)).all()
        endpoint = session.get_one(Endpoint, delivery.endpoint_id)
        assert ids == [delivery.id]
    assert (delivery.event_id, delivery.state, delivery.attempts) == (event.id, "queued", 0)
    assert (endpoint.batch_id, endpoint.url) == ("batch_1", URL)
    assert event.account_id == delivery.account_id == account.id


OPENAIS = [kind for kind in EventType if not kind.value.startswith("overnight.")]


@pytest.mark.parametrize("kind", OPENAIS)
def test_a_body_of_openais_has_openais_shape_and_nothing_else(
    store: Store, account: Account, kind: EventType
) -> None:
    happen(store, account, kind.value)
    with store.read() as session:
        event = session.exec(select(Event)).one()
    body = json.loads(event.body)
    assert body == {
        "id": event.id,
        "object": "event",
        "created_at": int(event.created_at.timestamp()),
        "type": kind.value,
        "data": {"id": "batch_1"},
    }
    assert "." not in event.id
    assert set(body) == set(BatchCompletedWebhookEvent.model_fields)


def test_w12_our_own_events_are_numbered_and_say_how_their_batch_is(
    store: Store, account: Account
) -> None:
    with store.transaction() as tx:
        state = {"jobs_total": 5, "jobs_queued": 1, "jobs_succeeded": 2, "jobs_failed": 1}
        tx.execute(sa.update(Batch).values(**state, state="running", calls_total=4, calls_closed=3))
    for kind in ("overnight.batch.started", "overnight.batch.sample_done"):
        happen(store, account, kind)
        happen(store, account, kind)  # a second time it is no event, though it may take a number
    happen(store, account, "overnight.batch.started", "batch_2")
    with store.read() as session:
        bodies = session.exec(select(Event.body).order_by(Event.id)).all()
    first, second, other = [json.loads(body)["data"] for body in bodies]
    assert first["seq"] < second["seq"]
    assert other["seq"] == 1
    assert first == {
        "id": "batch_1",
        "seq": 1,
        "state": "running",
        "ending": None,
        "paused": False,
        "counts": {
            "jobs": {
                "total": 5, "queued": 1, "running": 1,
                "succeeded": 2, "failed": 1, "cancelled": 0, "expired": 0,
            },
            "calls": {"total": 4, "closed": 3},
        },
        "cost": {"spent_nanos": 0, "unpriced_calls": 0},
    }  # fmt: skip


def test_an_event_that_happened_is_not_recorded_again(store: Store, account: Account) -> None:
    assert len(happen(store, account, "batch.completed")) == 1
    assert happen(store, account, "batch.completed") == []
    assert len(happen(store, account, "batch.failed")) == 1
    assert len(happen(store, account, "batch.completed", "batch_2")) == 1


def test_q22_two_that_record_at_once_make_one_event(store: Store, account: Account) -> None:
    made = run_at_once(lambda _: happen(store, account, "batch.completed"), 4, threads=4)
    assert sorted(len(ids) for ids in made) == [0, 0, 0, 1]
    with store.read() as session:
        assert len(session.exec(select(Event)).all()) == 1
        assert len(session.exec(select(Delivery)).all()) == 1


def test_an_event_of_a_transaction_that_fails_never_happened(
    store: Store, account: Account
) -> None:
    with pytest.raises(ZeroDivisionError), store.transaction() as tx:
        event = batch_event("batch.completed", "batch_1", store.now(tx))
        assert record_event(tx, store, account.id, "batch_1", event)
        raise ZeroDivisionError
    with store.read() as session:
        assert session.exec(select(Event)).all() == []
    assert happen(store, account, "batch.completed")


def test_p19_a_parked_lane_is_told_once_per_batch_and_time(store: Store, account: Account) -> None:
    def park(batch_id: str) -> list[str]:
        event = lane_parked(batch_id, "lane_" + "0" * 26, "openai", account.created_at)
        with store.transaction() as tx:
            return record_event(tx, store, account.id, batch_id, event)

    assert [len(park(batch)) for batch in ("batch_1", "batch_1", "batch_2")] == [1, 0, 1]
    with store.read() as session:
        body = json.loads(session.exec(select(Event.body).order_by(Event.id)).first())
    assert body["type"] == "overnight.lane.parked"
    data = {"id": "lane_" + "0" * 26, "provider": "openai", "batch_id": "batch_1"}
    assert data.items() <= body["data"].items()
    assert body["data"]["seq"] == 1


def test_every_event_key_fits_its_column() -> None:
    batch, lane = "batch_" + "z" * 26, "lane_" + "z" * 26
    late = datetime(2100, 1, 1, tzinfo=UTC)
    events = [batch_event(kind.value, batch, late) for kind in EventType]
    events.append(lane_parked(batch, lane, "openai", late))
    events.append(progress_of(batch, 90, late))
    events.append(endpoint_disabled("whe_" + "z" * 26, "failing", late))
    assert max(len(event.key) for event in events) <= 100


def test_a1_an_endpoint_of_another_account_is_not_told(store: Store, vault: Vault) -> None:
    with store.transaction() as tx:
        account = make_account(tx, vault, "one")
        webhook = WebhookBody(url=URL)
        add_batch_endpoint(tx, vault, account, "batch_1", webhook, store.now(tx))
        other = make_account(tx, vault, "two")
    assert happen(store, other, "batch.completed", "batch_1") == []


def test_w5_a_disabled_endpoint_is_not_told(store: Store, account: Account) -> None:
    with store.transaction() as tx:
        tx.execute(sa.update(Endpoint).values(disabled_at=store.now(tx)))
    assert happen(store, account, "batch.completed") == []


def test_k1_an_endpoints_secret_is_sealed(store: Store, vault: Vault, account: Account) -> None:
    secret = new_secret().reveal()
    with store.transaction() as tx:
        webhook = WebhookBody(url=URL, secret=secret)
        add_batch_endpoint(tx, vault, account, "batch_3", webhook, store.now(tx))
    with store.read() as session:
        row = session.exec(select(Endpoint).where(Endpoint.batch_id == "batch_3")).one()
    assert row.secret_sealed
    assert secret not in repr(row)


def test_what_is_told_on_request_only_is_not_kept_where_nobody_asked(
    store: Store, vault: Vault, account: Account
) -> None:
    with store.transaction() as tx:
        make_batch(tx, account, id="batch_3")
        add_batch_endpoint(tx, vault, account, "batch_3", WebhookBody(url=URL), store.now(tx))
    assert happen(store, account, "overnight.batch.started", "batch_3") == []
    with store.read() as session:
        assert session.exec(select(Event)).all() == []
    assert len(happen(store, account, "overnight.batch.sample_done", "batch_3")) == 1


def test_an_endpoint_is_told_what_it_subscribed_to_alone(
    store: Store, vault: Vault, account: Account
) -> None:
    with store.transaction() as tx:
        webhook = WebhookBody(url=URL, event_types=["batch.failed"])
        add_batch_endpoint(tx, vault, account, "batch_3", webhook, store.now(tx))
    assert happen(store, account, "batch.completed", "batch_3") == []
    assert len(happen(store, account, "batch.failed", "batch_3")) == 1


def checked(store: Store, webhook: WebhookBody, trusted: str = "") -> None:
    settings = {"OVERNIGHT_TRUSTED_HOSTS": trusted, "OVERNIGHT_URL": "https://us.example/api"}
    check_webhook(webhook, Settings.model_validate({**settings, "DATABASE_URL": str(store.url)}))


@pytest.mark.parametrize(
    ("webhook", "param"),
    [
        (WebhookBody(url="https://127.0.0.1/x"), "webhook.url"),
        (WebhookBody(url="http://hooks.example/x"), "webhook.url"),
        (WebhookBody(url="not a url"), "webhook.url"),
        (WebhookBody(url=URL, secret="canary"), "webhook.secret"),
        (WebhookBody(url=URL, event_types=["canary"]), "webhook.event_types"),
        (WebhookBody(url="https://US.example/hook"), "webhook.url"),
        (WebhookBody(url="https://us.example:443/"), "webhook.url"),
    ],
)
def test_x1_x13_a_webhook_that_could_never_be_sent_is_refused(
    store: Store, webhook: WebhookBody, param: str
) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        checked(store, webhook)
    assert caught.value.param == param
    if param != "webhook.event_types":
        assert "canary" not in caught.value.message


def test_a_webhook_that_can_be_sent_is_accepted(store: Store) -> None:
    checked(store, WebhookBody(url=URL, secret=new_secret().reveal()))
    checked(store, WebhookBody(url="http://localhost:9000/x"), "localhost")
