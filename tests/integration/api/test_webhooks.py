"""Webhook endpoints over HTTP: made, changed, rotated, tested, deleted; whose they are."""

import json
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import httpx2
import pytest
import sqlalchemy as sa
import standardwebhooks
from sqlmodel import select

from app.domain.secret import Secret
from app.models import AuditEntry, Delivery, Endpoint
from app.webhooks.events import DEFAULT_TYPES, EventType
from tests.factories.deliveries import deliver, verified
from tests.fakes.http import respond
from tests.fakes.webhooks import FakeReceiver
from tests.integration.api.conftest import Api, on_sqlite, refused, submission

HOOKS = "/v1/webhooks"
QUICK = {"params": {"extra": {"simulated": {"latency_ms": 0}}}}


@pytest.fixture
def receiver() -> Iterator[FakeReceiver]:
    with FakeReceiver() as receiver:
        yield receiver


def made(api: Api, url: str, **fields: Any) -> dict[str, Any]:
    """An endpoint, as it is shown with its secret."""
    answer = api.post(HOOKS, json={"url": url, **fields})
    assert answer.status_code == 201, answer.text
    return answer.json()


def change(api: Api, endpoint: dict[str, Any], **fields: Any) -> httpx2.Response:
    return api.call("PATCH", f"{HOOKS}/{endpoint['id']}", json=fields)


def test_an_account_is_told_with_the_secret_it_was_shown(api: Api, receiver: FakeReceiver) -> None:
    endpoint = made(api, receiver.url, name="ours")
    assert endpoint["secret"].startswith("whsec_")
    assert endpoint["secret_hint"] == "whsec_…" + endpoint["secret"][-4:]
    assert endpoint["event_types"] == list(DEFAULT_TYPES)
    batch = api.finished("one", **QUICK)
    [seen] = receiver.journal
    event = verified(seen, Secret(endpoint["secret"]))
    assert (event["type"], event["data"]) == ("batch.completed", {"id": batch["id"]})


def test_k1_a_secret_is_shown_once_and_kept_sealed(api: Api, receiver: FakeReceiver) -> None:
    endpoint = made(api, receiver.url)
    bare = endpoint["secret"].removeprefix("whsec_")
    shown = [api.get(HOOKS), api.get(f"{HOOKS}/{endpoint['id']}"), change(api, endpoint, name="x")]
    assert all(answer.status_code == 200 for answer in shown)
    assert not any(bare in answer.text for answer in shown)
    with api.engine.store.read() as session:
        assert bare not in repr(session.exec(select(Endpoint)).one())
    assert not any(bare in line for line in (str(hint) for hint in api.engine.queue.hints))


def test_w7_after_a_rotation_both_secrets_sign_for_a_day(api: Api, receiver: FakeReceiver) -> None:
    first = made(api, receiver.url)
    path = f"{HOOKS}/{first['id']}/rotate"
    second = api.post(path).json()
    third = api.post(path).json()
    assert third["old_secret_until"] is not None
    api.finished("one", **QUICK)
    [seen] = receiver.journal
    for known in (third, second):
        assert verified(seen, Secret(known["secret"]))
    assert seen.headers["webhook-signature"].count("v1,") == 2  # the first is of no use any more
    with pytest.raises(standardwebhooks.WebhookVerificationError):
        standardwebhooks.Webhook(first["secret"]).verify(seen.body, dict(seen.headers))
    with api.engine.store.transaction() as tx:
        tx.execute(
            sa.update(Endpoint).values(old_secret_until=api.engine.store.now(tx) - timedelta(1))
        )
    api.finished("two", **QUICK)
    seen = receiver.journal[-1]
    assert verified(seen, Secret(third["secret"]))
    assert seen.headers["webhook-signature"].count("v1,") == 1


def test_w7_a_rotation_that_keeps_nothing_ends_the_old_secret_at_once(
    api: Api, receiver: FakeReceiver
) -> None:
    first = made(api, receiver.url)
    second = api.post(f"{HOOKS}/{first['id']}/rotate", json={"keep_old": False}).json()
    assert second["old_secret_until"] is None
    api.finished("one", **QUICK)
    assert receiver.journal[0].headers["webhook-signature"].count("v1,") == 1
    assert verified(receiver.journal[0], Secret(second["secret"]))


@pytest.mark.parametrize("kind", EventType)
def test_a_test_sends_a_signed_sample_of_every_event(
    api: Api, receiver: FakeReceiver, kind: EventType
) -> None:
    endpoint = made(api, receiver.url)
    answer = api.post(f"{HOOKS}/{endpoint['id']}/test", json={"event_type": kind.value})
    assert answer.status_code == 200
    shown = answer.json()
    assert (shown["delivered"], shown["status_code"], shown["response_head"]) == (True, 200, "ok")
    [seen] = receiver.journal
    event = standardwebhooks.Webhook(endpoint["secret"]).verify(seen.body, dict(seen.headers))
    assert (event["type"], event["id"]) == (kind.value, shown["event_id"])
    assert api.get(f"{HOOKS}/deliveries").json()["data"] == []


def test_a_test_reports_what_the_endpoint_answers_or_why_it_does_not(
    api: Api, receiver: FakeReceiver
) -> None:
    endpoint = made(api, receiver.url)
    receiver.reply_with(respond(503, b"no"), respond(302, headers={"location": "https://x/"}))
    path = f"{HOOKS}/{endpoint['id']}/test"
    shown = [api.post(path).json() for _ in range(2)]
    assert [one["status_code"] for one in shown] == [503, 302]
    assert not any(one["delivered"] for one in shown)
    assert len(receiver.journal) == 2
    change(api, endpoint, url="http://127.0.0.1:9/nobody")
    failed = api.post(path).json()
    assert (failed["status_code"], failed["delivered"]) == (None, False)
    assert "no connection to 127.0.0.1" in failed["error"]
    refused(api.post(path, json={"event_type": "nothing"}), 422, "event_type")


def test_what_changes_is_changed_and_the_rest_stays(api: Api) -> None:
    endpoint = made(api, "https://hooks.example/a", name="first", event_types=["batch.failed"])
    again = change(api, endpoint, name="first").json()
    assert again["updated_at"] == endpoint["updated_at"]
    kinds = ["overnight.job.completed", "batch.completed"]
    changed = change(api, endpoint, event_types=kinds, url="https://hooks.example/b").json()
    assert changed["event_types"] == sorted(kinds)
    assert (changed["name"], changed["url"]) == ("first", "https://hooks.example/b")
    assert changed["updated_at"] > endpoint["updated_at"]
    assert changed["secret_hint"] == endpoint["secret_hint"]


def test_a_disabled_endpoint_is_told_nothing_until_it_is_enabled(
    api: Api, receiver: FakeReceiver
) -> None:
    endpoint = made(api, receiver.url)
    shown = change(api, endpoint, enabled=False).json()
    assert (shown["enabled"], shown["disabled_reason"]) == (False, "by_client")
    api.finished("one", **QUICK)
    assert receiver.journal == []
    assert change(api, endpoint, enabled=True).json()["disabled_at"] is None
    api.finished("two", **QUICK)
    assert len(receiver.journal) == 1


def test_a_deleted_endpoint_is_gone_with_its_url_and_secrets(
    api: Api, receiver: FakeReceiver
) -> None:
    endpoint = made(api, receiver.url)
    with api.engine.store.transaction() as tx:
        tx.execute(sa.update(Endpoint).values(failures=1))
    batch = api.submit("one", **QUICK)
    assert api.call("DELETE", f"{HOOKS}/{endpoint['id']}").status_code == 204
    api.engine.drain()
    assert api.get(f"/v1/batches/{batch['id']}").json()["state"] == "completed"
    assert receiver.journal == []
    assert api.get(HOOKS).json()["data"] == []
    for method, path in (("GET", ""), ("PATCH", ""), ("DELETE", ""), ("POST", "/test")):
        refused(api.call(method, f"{HOOKS}/{endpoint['id']}{path}", json={}), 404)
    with api.engine.store.read() as session:
        row = session.exec(select(Endpoint)).one()
    assert (row.url, row.secret_sealed, row.old_secret_sealed) == ("", None, None)


def test_what_was_on_its_way_to_a_deleted_endpoint_is_cancelled(
    api: Api, receiver: FakeReceiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    endpoint = made(api, receiver.url)
    monkeypatch.setattr("tests.fakes.engine.deliver", lambda _services: 0)
    api.finished("one", **QUICK)
    api.call("DELETE", f"{HOOKS}/{endpoint['id']}")
    assert deliver(api.engine.services) == 0
    with api.engine.store.read() as session:
        assert session.exec(select(Delivery.state)).all() == ["cancelled"]
    assert receiver.journal == []


@on_sqlite
@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"url": "https://10.0.0.1/"}, "url"),
        ({"url": "http://hooks.example/"}, "url"),
        ({"url": "http://127.0.0.1:8484/v1/batches"}, "url"),
        ({"url": "http://localhost:8484/"}, "url"),
        ({"url": "http://[::ffff:127.0.0.1]:8484/"}, "url"),
        ({"name": "x" * 201}, "name"),
        ({"event_types": []}, "event_types"),
        ({"event_types": ["batch.completed", "batch.done"]}, "event_types"),
        ({"secret": "whsec_canary"}, "secret"),
        ({"status": "enabled"}, None),
        ({"url": None}, "url"),
    ],
)
def test_x1_x13_an_endpoint_that_could_never_be_told_is_refused(
    api: Api, fields: dict[str, Any], param: str | None
) -> None:
    body = {"url": "https://hooks.example/", **fields}
    words = refused(api.post(HOOKS, json=body), 422, param)
    assert "canary" not in words
    endpoint = made(api, "https://hooks.example/")
    if param not in {"secret", None} and fields.get("url", "") is not None:
        refused(change(api, endpoint, **fields), 422, param)
    assert [one["id"] for one in api.get(HOOKS).json()["data"]] == [endpoint["id"]]


def test_there_are_only_so_many_endpoints(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.pipeline.endpoints.ENDPOINTS_MAX", 2)
    endpoints = [made(api, "https://hooks.example/") for _ in range(2)]
    refused(api.post(HOOKS, json={"url": "https://hooks.example/"}), 409)
    api.call("DELETE", f"{HOOKS}/{endpoints[0]['id']}")
    made(api, "https://hooks.example/")


def test_a1_another_account_finds_no_endpoint_and_no_delivery(
    api: Api, receiver: FakeReceiver
) -> None:
    endpoint = made(api, receiver.url)
    api.finished("one", **QUICK)
    [delivery] = api.get(f"{HOOKS}/deliveries").json()["data"]
    stranger = api.stranger_key()
    for method, path in (
        ("GET", endpoint["id"]),
        ("PATCH", endpoint["id"]),
        ("DELETE", endpoint["id"]),
        ("POST", f"{endpoint['id']}/rotate"),
        ("POST", f"{endpoint['id']}/test"),
        ("GET", f"deliveries/{delivery['id']}"),
        ("POST", f"deliveries/{delivery['id']}/replay"),
    ):
        refused(api.call(method, f"{HOOKS}/{path}", key=stranger, json={}), 404)
    span = {"from": "2026-01-01T00:00:00Z"}
    refused(api.post(f"{HOOKS}/{endpoint['id']}/replay", key=stranger, json=span), 404)
    for path in (HOOKS, f"{HOOKS}/deliveries"):
        assert api.get(path, key=stranger).json()["data"] == []
    assert len(receiver.journal) == 1


def test_who_did_what_to_an_endpoint_is_in_the_audit_log(api: Api) -> None:
    endpoint = made(api, "https://hooks.example/canary")
    change(api, endpoint, name="new")
    change(api, endpoint, name="new")
    api.post(f"{HOOKS}/{endpoint['id']}/rotate")
    api.call("DELETE", f"{HOOKS}/{endpoint['id']}")
    with api.engine.store.read() as session:
        rows = session.exec(
            select(AuditEntry).where(AuditEntry.subject == endpoint["id"]).order_by(AuditEntry.id)
        ).all()
    assert [row.action for row in rows] == [
        "webhook.created",
        "webhook.changed",
        "webhook.secret_rotated",
        "webhook.deleted",
    ]
    assert {row.actor[:4] for row in rows} == {"key_"}
    assert "canary" not in json.dumps([row.model_dump(mode="json") for row in rows])


def test_the_event_types_are_listed(api: Api) -> None:
    shown = api.get(f"{HOOKS}/event-types").json()
    assert shown["data"] == [kind.value for kind in EventType]
    assert set(shown["default"]) < set(shown["data"])


def test_x13_a_delivery_to_this_api_by_another_name_sets_off_nothing(api: Api) -> None:
    body = submission("one")
    headers = {"webhook-id": "evt_1", "webhook-signature": "v1,x", "user-agent": "Overnight"}
    refused(api.post("/v1/batches", key=None, json=body, headers=headers), 401)
    assert api.get("/v1/batches").json()["data"] == []
