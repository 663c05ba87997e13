"""The log of deliveries over HTTP, replay of one and of a span of time, and what disables."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
import structlog

from tests.factories.deliveries import deliver, pass_the_wait
from tests.fakes.http import respond
from tests.fakes.webhooks import FakeReceiver
from tests.integration.api.conftest import Api, refused
from tests.integration.api.test_webhooks import HOOKS, QUICK, change, made

LONG_AGO = "2026-01-01T00:00:00Z"


@pytest.fixture
def receiver() -> Iterator[FakeReceiver]:
    with FakeReceiver() as receiver:
        yield receiver


def log_of(api: Api, **query: Any) -> list[dict[str, Any]]:
    answer = api.get(f"{HOOKS}/deliveries", params=query)
    assert answer.status_code == 200, answer.text
    return answer.json()["data"]


def replay(api: Api, endpoint: dict[str, Any], **span: Any) -> int:
    body = {"from": LONG_AGO, **span}
    answer = api.post(f"{HOOKS}/{endpoint['id']}/replay", json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()["replayed"]


def test_the_log_has_the_first_characters_of_every_answer(api: Api, receiver: FakeReceiver) -> None:
    receiver.reply_with(respond(500, b"x" * 2000), respond(502, b"second"))
    made(api, receiver.url)
    batch = api.finished("one", **QUICK)
    for _ in range(2):
        pass_the_wait(api.engine.services)
        deliver(api.engine.services)
    [shown] = log_of(api)
    assert (shown["state"], shown["attempts"], shown["batch_id"]) == ("delivered", 3, batch["id"])
    assert [(one["attempt"], one["status_code"]) for one in shown["answers"]] == [
        (1, 500), (2, 502), (3, 200),
    ]  # fmt: skip
    assert [one["response_head"] for one in shown["answers"]] == ["x" * 1024, "second", "ok"]
    assert api.get(f"{HOOKS}/deliveries/{shown['id']}").json() == shown


def test_the_log_is_paged_and_narrowed(api: Api, receiver: FakeReceiver) -> None:
    first = made(api, receiver.url)
    made(api, receiver.url, event_types=["overnight.job.completed"])
    batches = [api.finished("one", "two", **QUICK)["id"] for _ in range(2)]
    assert len(log_of(api)) == 6
    assert len(log_of(api, endpoint_id=first["id"])) == 2
    assert len(log_of(api, batch_id=batches[0])) == 3
    assert len(log_of(api, event_type="overnight.job.completed")) == 4
    assert log_of(api, state="failed") == []
    ids, after = [], None
    while True:
        page = api.get(
            f"{HOOKS}/deliveries", params={"limit": 4} | ({"after": after} if after else {})
        ).json()
        ids += [one["id"] for one in page["data"]]
        after = page["next"]
        if after is None:
            break
    assert ids == sorted(ids, reverse=True)
    assert len(set(ids)) == 6
    refused(api.get(f"{HOOKS}/deliveries", params={"state": "nowhere"}), 422, "state")


def test_one_delivery_is_made_again_with_the_same_event(api: Api, receiver: FakeReceiver) -> None:
    made(api, receiver.url)
    api.finished("one", **QUICK)
    [first] = log_of(api)
    again = api.post(f"{HOOKS}/deliveries/{first['id']}/replay")
    assert again.status_code == 201
    shown = again.json()
    assert (shown["replay"], shown["event_id"], shown["state"]) == (1, first["event_id"], "queued")
    refused(api.post(f"{HOOKS}/deliveries/{first['id']}/replay"), 409)
    api.engine.drain()
    assert api.get(f"{HOOKS}/deliveries/{shown['id']}").json()["state"] == "delivered"
    one, two = receiver.journal
    assert one.body == two.body
    assert one.headers["webhook-id"] == two.headers["webhook-id"]
    assert api.post(f"{HOOKS}/deliveries/{first['id']}/replay").json()["replay"] == 2


def fail_for_five_days(api: Api, receiver: FakeReceiver) -> dict[str, Any]:
    """An endpoint that answered nothing but 500 for so long, and once more now."""
    services, store = api.engine.services, api.engine.store
    receiver.reply_with(*[respond(500)] * 11)
    endpoint = made(api, receiver.url)
    api.finished("one", **QUICK)
    for _ in range(9):
        pass_the_wait(services)
        deliver(services)
    shown = api.get(f"{HOOKS}/{endpoint['id']}").json()
    assert (shown["failures"], shown["enabled"]) == (10, True)
    assert shown["failing_since"] is not None
    with store.transaction() as tx:
        moved = "UPDATE endpoint SET failing_since = {after_ms(:ms)} WHERE failures > 0"
        tx.run(store.sql(moved), {"ms": -5 * 24 * 3600 * 1000})
    api.finished("two", **QUICK)
    return endpoint


def test_w6_five_days_of_failures_disable_an_endpoint_and_others_are_told(
    api: Api, receiver: FakeReceiver
) -> None:
    with FakeReceiver() as other, structlog.testing.capture_logs() as logs:
        made(api, other.url, event_types=["overnight.endpoint.disabled"])
        endpoint = fail_for_five_days(api, receiver)
        [told] = other.journal
    assert json.loads(told.body)["data"] == {"id": endpoint["id"], "reason": "failing"}
    shown = api.get(f"{HOOKS}/{endpoint['id']}").json()
    assert (shown["enabled"], shown["disabled_reason"]) == (False, "failing")
    assert "endpoint_disabled" in [entry["event"] for entry in logs]
    api.finished("three", **QUICK)
    assert len(receiver.journal) == 11
    refused(api.post(f"{HOOKS}/{endpoint['id']}/replay", json={"from": LONG_AGO}), 409)


def test_w6_enabled_again_an_endpoint_is_told_what_it_missed(
    api: Api, receiver: FakeReceiver
) -> None:
    endpoint = fail_for_five_days(api, receiver)
    api.finished("three", **QUICK)
    again = change(api, endpoint, enabled=True).json()
    assert (again["failures"], again["failing_since"], again["disabled_reason"]) == (0, None, None)
    pass_the_wait(api.engine.services)
    deliver(api.engine.services)  # the second batch was still to be tried again
    assert replay(api, endpoint) == 3
    api.engine.drain()
    bodies = [json.loads(seen.body) for seen in receiver.journal[11:]]
    assert sorted(body["type"] for body in bodies) == [
        *["batch.completed"] * 3, "overnight.endpoint.disabled",
    ]  # fmt: skip
    assert replay(api, endpoint) == 0


def test_w6_a_success_in_between_starts_the_five_days_anew(
    api: Api, receiver: FakeReceiver
) -> None:
    receiver.reply_with(*[respond(500)] * 3)
    endpoint = made(api, receiver.url)
    api.finished("one", **QUICK)
    for _ in range(3):
        pass_the_wait(api.engine.services)
        deliver(api.engine.services)
    shown = api.get(f"{HOOKS}/{endpoint['id']}").json()
    assert (shown["failures"], shown["failing_since"]) == (0, None)


def test_a_span_is_replayed_as_it_was_and_only_what_was_subscribed_to(
    api: Api, receiver: FakeReceiver
) -> None:
    endpoint = made(api, receiver.url)
    jobs = made(api, "http://127.0.0.1:9/", event_types=["overnight.job.completed"])
    api.finished("one", **QUICK)
    assert replay(api, endpoint) == 0
    assert replay(api, endpoint, only="all") == 1
    assert replay(api, endpoint, only="all") == 0  # it is under way
    api.engine.drain()
    assert [one.body for one in receiver.journal] == [receiver.journal[0].body] * 2
    assert replay(api, endpoint, only="all", to="2026-01-02T00:00:00Z") == 0
    assert replay(api, jobs, only="all") == 0  # it waits for its next attempt
    body = {"from": "2026-01-02T00:00:00Z", "to": LONG_AGO}
    refused(api.post(f"{HOOKS}/{endpoint['id']}/replay", json=body), 422, "to")
    naive = {"from": "2026-01-02T00:00:00"}
    refused(api.post(f"{HOOKS}/{endpoint['id']}/replay", json=naive), 422, "from")


def test_a_long_span_is_replayed_in_parts(
    api: Api, receiver: FakeReceiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.pipeline.replay.REPLAYED_MAX", 2)
    endpoint = made(api, receiver.url)
    for name in ("one", "two", "three"):
        api.finished(name, **QUICK)
    path, body = f"{HOOKS}/{endpoint['id']}/replay", {"from": LONG_AGO, "only": "all"}
    first = api.post(path, json=body).json()
    second = api.post(path, json=body | {"after": first["next"]}).json()
    assert (first["replayed"], second["replayed"], second["next"]) == (2, 1, None)
    api.engine.drain()
    assert len({seen.headers["webhook-id"] for seen in receiver.journal}) == 3
    assert len(receiver.journal) == 6


def test_a_batchs_own_endpoint_can_be_looked_at_and_replayed(
    api: Api, receiver: FakeReceiver
) -> None:
    batch = api.finished("one", webhook={"url": receiver.url}, **QUICK)
    api.finished("another", **QUICK)
    [delivery] = log_of(api, batch_id=batch["id"])
    endpoint = api.get(f"{HOOKS}/{delivery['endpoint_id']}").json()
    assert (endpoint["batch_id"], endpoint["secret_hint"]) == (batch["id"], None)
    assert api.get(HOOKS).json()["data"] == []
    assert replay(api, endpoint, only="all") == 1
