"""What a batch tells on its way, and to whom."""

import json
from collections import Counter
from typing import Any

import pytest
from sqlmodel import select

from app.models import Batch, Delivery, Endpoint, Event
from app.pipeline.control import cancel
from app.pipeline.endpoints import EndpointSetting, Owner, create_endpoint, update_endpoint
from app.pipeline.laws import check_laws
from app.webhooks.events import EventType
from tests.fakes.engine import Engine
from tests.integration.engine.test_flow import QUICK

EVERY_TYPE = tuple(kind.value for kind in EventType)
URL = "https://hooks.invalid/"


def owner_of(engine: Engine, account_id: str | None = None) -> Owner:
    """The account, and a key of it."""
    return Owner(account_id or engine.account_id, "key_1")


def endpoint_of(engine: Engine, *kinds: str, account_id: str | None = None) -> str:
    """An endpoint of the account; nobody is there."""
    setting = EndpointSetting(url=URL, event_types=kinds or None)
    return create_endpoint(engine.services, owner_of(engine, account_id), setting).endpoint.id


def told(engine: Engine, endpoint_id: str) -> list[dict[str, Any]]:
    """What the endpoint is to be told, in the order in which it happened."""
    with engine.store.read() as session:
        bodies = session.exec(
            select(Event.body)
            .join(Delivery, Delivery.event_id == Event.id)
            .where(Delivery.endpoint_id == endpoint_id)
            .order_by(Event.id)
        ).all()
    return [json.loads(body) for body in bodies]


@pytest.fixture(autouse=True)
def _nobody_delivers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.fakes.engine.deliver", lambda _services: 0)


def test_an_account_is_told_how_each_batch_began_went_on_and_ended(engine: Engine) -> None:
    endpoint_id = endpoint_of(engine, *EVERY_TYPE)
    batch_id = engine.submit([f"prompt {n}" for n in range(40)], params=QUICK)
    engine.drain()
    events = told(engine, endpoint_id)
    kinds = Counter(event["type"] for event in events)
    assert kinds["overnight.batch.started"] == kinds["batch.completed"] == 1
    assert kinds["overnight.job.completed"] == 40
    progress = [one["data"] for one in events if one["type"] == "overnight.batch.progress"]
    assert progress
    percents = [data["percent"] for data in progress]
    assert percents == sorted(set(percents))
    for data in progress:
        closed = data["counts"]["jobs"]["succeeded"]
        assert data["percent"] * 40 <= closed * 100 < 4000
    assert events[0]["type"] == "overnight.batch.started"
    assert {event["data"].get("batch_id", event["data"]["id"]) for event in events} == {batch_id}
    with engine.store.read() as session:
        assert check_laws(session, engine.store) == []


def test_w12_the_numbers_of_a_batchs_events_only_rise(engine: Engine) -> None:
    endpoint_id = endpoint_of(engine, *EVERY_TYPE)
    engine.submit([f"prompt {n}" for n in range(30)], params=QUICK)
    engine.drain()
    seqs = [one["data"]["seq"] for one in told(engine, endpoint_id) if "seq" in one["data"]]
    assert len(seqs) > 30
    assert seqs == sorted(set(seqs))


def test_jobs_are_told_by_ids_and_state_alone(engine: Engine) -> None:
    endpoint_id = endpoint_of(engine, "overnight.job.completed")
    batch_id = engine.submit(["a canary prompt", "fine"], params=QUICK)
    engine.drain()
    events = told(engine, endpoint_id)
    assert sorted(event["data"]["custom_id"] for event in events) == ["c0", "c1"]
    for event in events:
        assert event["data"].keys() == {"id", "batch_id", "custom_id", "state", "seq"}
        assert (event["data"]["batch_id"], event["data"]["state"]) == (batch_id, "succeeded")
        assert event["data"]["id"].startswith("job_")
    assert "canary" not in json.dumps(events)


def test_jobs_that_never_ran_are_told_too(engine: Engine) -> None:
    endpoint_id = endpoint_of(engine, "overnight.job.completed", "batch.cancelled")
    batch_id = engine.submit(["one", "two", "three"], params=QUICK)
    cancel(engine.services, engine.account_id, batch_id)
    engine.drain()
    events = told(engine, endpoint_id)
    states = Counter(event["data"].get("state") for event in events)
    assert states == {"cancelled": 3, None: 1}


def test_nobody_who_did_not_ask_is_told_of_jobs_or_progress(engine: Engine) -> None:
    endpoint_id = endpoint_of(engine)
    engine.submit([f"prompt {n}" for n in range(10)], params=QUICK)
    engine.drain()
    assert [event["type"] for event in told(engine, endpoint_id)] == ["batch.completed"]
    with engine.store.read() as session:
        assert len(session.exec(select(Event)).all()) == 1


def test_a_batchs_own_endpoint_is_told_of_it_alone(engine: Engine) -> None:
    webhook = {"url": URL, "event_types": ["overnight.job.completed"]}
    batch_id = engine.submit(["one"], params=QUICK, webhook=webhook)
    engine.submit(["two"], params=QUICK)
    engine.drain()
    with engine.store.read() as session:
        endpoint_id = session.exec(select(Endpoint.id)).one()
    [event] = told(engine, endpoint_id)
    assert event["data"]["batch_id"] == batch_id


def test_a1_another_accounts_endpoint_is_told_nothing(engine: Engine) -> None:
    endpoint_id = endpoint_of(engine, *EVERY_TYPE, account_id=engine.new_account())
    engine.submit(["one"], params=QUICK)
    engine.drain()
    assert told(engine, endpoint_id) == []


def test_who_subscribes_later_is_told_what_happens_later(engine: Engine) -> None:
    endpoint_id = endpoint_of(engine, "batch.failed")
    engine.submit(["one"], params=QUICK)
    engine.drain()
    assert told(engine, endpoint_id) == []
    setting = EndpointSetting(event_types=["batch.completed"])
    update_endpoint(engine.services, owner_of(engine), endpoint_id, setting)
    engine.submit(["two"], params=QUICK)
    engine.drain()
    assert [event["type"] for event in told(engine, endpoint_id)] == ["batch.completed"]


def test_of_a_batch_that_somebody_waits_for_the_account_is_not_told(engine: Engine) -> None:
    endpoint_id = endpoint_of(engine, *EVERY_TYPE)
    batch_id = engine.submit(["one"], params=QUICK)
    with engine.store.transaction() as tx:
        tx.get_one(Batch, batch_id).interactive = True
    engine.drain()
    assert told(engine, endpoint_id) == []
