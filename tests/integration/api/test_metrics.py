"""What `/metrics` and `/readyz` tell of the whole installation."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from prometheus_client.parser import text_string_to_metric_families
from sqlmodel import select
from starlette.testclient import TestClient

from api.main import create_app
from app.limits.governor import Governor
from app.limits.lanes import LaneLimits, Refusal
from app.limits.link import Link, connect
from app.models import Lane, Vital, Worker
from app.pipeline.park import park_lane
from app.pipeline.reconcile import reconcile
from app.pipeline.services import Services
from tests.fakes.engine import Engine
from tests.integration.api.conftest import Api, on_sqlite

Sample = Callable[..., float | None]


def read(text: str) -> Sample:
    """How to look a value up in an exposition, by its name and labels."""
    found = {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }
    return lambda name, **labels: found.get((f"overnight_{name}", frozenset(labels.items())))


def look(api: Api) -> Sample:
    """The metrics as they are now, without any key."""
    answer = api.get("/metrics", key=None)
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain")
    return read(answer.text)


def test_o5_the_age_of_the_reconcilers_last_success_is_told(api: Api) -> None:
    name = "reconciler_last_success_age_seconds"
    assert look(api)(name) == float("inf")
    reconcile(api.engine.services)
    age_s = look(api)(name)
    assert age_s is not None
    assert 0 <= age_s < 60
    with api.engine.store.transaction() as tx:
        vital = tx.get_one(Vital, "reconciled")
        vital.at -= timedelta(seconds=300)
    assert 300 <= (look(api)(name) or 0) < 360
    assert "reconciler" in api.get("/readyz", key=None).json()["degraded"]
    reconcile(api.engine.services)
    assert look(api)("reconciler_successes_total") == 2
    assert "reconciler" not in api.get("/readyz", key=None).json()["degraded"]


def test_what_waits_and_what_is_under_way_is_counted(api: Api) -> None:
    api.submit("a", "b", "c")
    assert look(api)("queue_depth", kind="jobs") == 3
    api.engine.follow(*api.engine.queue.hints.popleft())
    api.engine.claim(wanted=1)
    seen = look(api)
    assert seen("queue_depth", kind="jobs") == 0
    assert seen("queue_depth", kind="calls") == 2
    assert (seen("calls_due"), seen("calls_in_flight")) == (2, 1)
    assert seen("batches", state="running") == 1
    vitals = api.get("/readyz", key=None).json()["vitals"]
    assert (vitals["calls_queued"], vitals["calls_in_flight"]) == (2, 1)
    api.engine.lose_worker()
    assert look(api)("workers", state="late") == 1
    reconcile(api.engine.services)
    seen = look(api)
    assert (seen("workers_lost_total"), seen("workers", state="late")) == (1, 0)


def test_the_longest_wait_for_the_writer_is_told(api: Api) -> None:
    with api.engine.store.transaction() as tx:
        tx.exec(select(Worker)).one().writer_lag_ms = 1500
    assert look(api)("writer_lag_seconds") == 1.5


@pytest.fixture
def with_broker(engine: Engine, valkey_url: str) -> Services:
    """Services that have a broker."""
    settings = engine.services.settings.model_copy(update={"redis_url": valkey_url})
    return type(engine.services)(settings, engine.store, engine.queue, engine.services.vault)


@on_sqlite
async def test_a_lane_is_told_of_by_its_id_with_its_rate_and_its_pause(
    engine: Engine, with_broker: Services, valkey_url: str
) -> None:
    engine.submit(["canary-prompt"], name="canary-name")
    engine.follow(*engine.queue.hints.popleft())
    with engine.store.read() as session:
        lane_id = session.exec(select(Lane.id)).one()
    link = Link(connect(valkey_url, 10.0))
    governor = Governor(link, "wrk_1")
    await governor.acquire(LaneLimits(lane_id), 12, 100)
    for _ in range(11):
        governor.answered(lane_id, 0.1)
    await governor.refused(lane_id, Refusal(30.0, 0.0))
    await link.close()
    with TestClient(create_app(with_broker)) as http:
        text = http.get("/metrics").text
        seen, lane = read(text), {"lane": lane_id, "provider": "simulated"}
        assert seen("broker_up") == 1
        assert seen("lane_answers_per_minute", **lane) == 11
        assert 28 < (seen("lane_paused_seconds", **lane) or 0) <= 33
        assert seen("lane_limit_in_flight", **lane) == 1
        assert seen("lane_parked", **lane, reason="unauthorized") is None
        park_lane(engine.services, lane_id, None, "unauthorized: sk-canary refused")
        text = http.get("/metrics").text
    assert read(text)("lane_parked", **lane, reason="unauthorized") == 1
    assert "canary" not in text


@on_sqlite
def test_idle_lanes_are_not_told_of(api: Api) -> None:
    for _ in range(20):
        account_id = api.engine.new_account()
        with api.engine.store.transaction() as tx:
            tx.add(
                Lane(
                    id=f"lane_{account_id[-20:]}",
                    account_id=account_id,
                    provider="openai",
                    billed="byok",
                    created_at=api.engine.store.now(tx),
                )
            )
    text = api.get("/metrics", key=None).text
    assert 'lane="' not in text
    assert read(text)("broker_up") == 0
