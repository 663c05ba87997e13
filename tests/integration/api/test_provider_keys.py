"""Provider keys over HTTP: set, tried and deleted; never shown, wherever it goes wrong."""

import json
from collections import Counter
from collections.abc import Iterator
from typing import Any

import httpx2
import pytest
from sqlmodel import select

from app.models import Call, Lane, ProviderKey
from app.queue import Step
from tests.fakes.http import FakeServer, respond, sha256_of
from tests.integration.api.conftest import Api, on_sqlite, refused, submission

KEY = "sk-canary-0123456789abcdef"


@pytest.fixture
def server() -> Iterator[FakeServer]:
    with FakeServer(default=respond(200, {"data": []})) as started:
        yield started


def put(api: Api, provider: str = "openai", **body: Any) -> httpx2.Response:
    return api.call("PUT", f"/v1/settings/keys/{provider}", json=body)


def check(api: Api, provider: str) -> dict[str, Any]:
    answer = api.post(f"/v1/settings/keys/{provider}/check")
    assert answer.status_code == 200, answer.text
    assert KEY not in answer.text
    return answer.json()


def test_k13_a_key_is_shown_by_its_last_characters_only(api: Api) -> None:
    answer = put(api, api_key=KEY, limits={"rpm": 60, "in_flight": 8})
    assert answer.status_code == 200
    shown = answer.json()
    assert shown["hint"] == "cdef"
    assert shown["limits"] == {"rpm": 60, "tpm": None, "in_flight": 8}
    assert shown["state"] == "open"
    listed = api.get("/v1/settings/keys")
    assert listed.json()["data"] == [shown]
    assert "canary" not in answer.text + listed.text
    with api.engine.store.read() as session:
        assert "canary" not in session.exec(select(ProviderKey)).one().sealed


def test_a_key_that_is_set_wakes_its_lane(api: Api) -> None:
    put(api, api_key=KEY)
    with api.engine.store.read() as session:
        lane = session.exec(select(Lane).where(Lane.provider == "openai")).one()
    assert list(api.engine.queue.hints) == [(Step.DISPATCH, ("openai", lane.id))]


def test_a_setting_is_replaced_whole(api: Api, server: FakeServer) -> None:
    put(api, api_key=KEY, base_url=f"{server.origin}/v1/", limits={"rpm": 5})
    again = put(api, api_key="sk-another-0123456789wxyz").json()
    assert (again["hint"], again["base_url"], again["limits"]["rpm"]) == ("wxyz", None, None)


def test_k8_a_key_that_is_deleted_ends_what_waited_for_it(api: Api) -> None:
    put(api, api_key=KEY)
    batch = api.submit(*["a"] * 1_000, models=["openai/gpt-4o"])
    api.engine.queue.hints.append((Step.PLAN, (batch["id"],)))
    while api.engine.queue.hints:
        api.engine.follow(*api.engine.queue.hints.popleft())
    assert api.call("DELETE", "/v1/settings/keys/openai").status_code == 204
    assert (Step.RECONCILE, ()) in api.engine.queue.hints
    api.engine.drain()
    with api.engine.store.read() as session:
        calls = session.exec(
            select(Call.state, Call.reason).where(Call.batch_id == batch["id"])
        ).all()
    assert Counter(map(tuple, calls)) == {("failed", "key_deleted"): 1_000}
    assert api.engine.carried == []
    assert api.get("/v1/settings/keys").json()["data"] == []
    refused(api.post("/v1/batches", json=submission(models=["openai/gpt-4o"])), 422)


@on_sqlite
@pytest.mark.parametrize(
    "key",
    [
        "",
        " ",
        "sk-canary 1234567890",
        "sk-canary“1234567890",
        "sk-canary\x00",
        "k" * 10_000,
        "ключ",
    ],
)
def test_k2_what_cannot_be_a_key_is_refused_and_not_repeated(api: Api, key: str) -> None:
    answer = put(api, api_key=key)
    refused(answer, 422, "api_key")
    assert "canary" not in answer.text
    assert api.get("/v1/settings/keys").json()["data"] == []


@on_sqlite
def test_k2_what_was_pasted_around_a_key_is_left_off(api: Api, server: FakeServer) -> None:
    put(api, "custom:local", api_key=f" {KEY}\r\n", base_url=f"{server.origin}/v1")
    assert check(api, "custom:local")["ok"]
    assert server.journal[0].authorization_sha256 == sha256_of(f"Bearer {KEY}")


@on_sqlite
@pytest.mark.parametrize(
    "body",
    [
        {"api_kye": KEY},
        {"api_key": KEY, "base_ulr": "https://x.example"},
        {"api_key": [KEY]},
        {"api_key": KEY, "limits": {"rpm": KEY}},
        {"api_key": KEY, "limits": {"rpn": 5}},
        {"api_key": KEY, "limits": KEY},
        {"api_key": KEY, "limits": {"rpm": 0}},
        {"api_key": KEY, "limits": {"rpm": True}},
        {"api_key": KEY, "base_url": KEY},
        {"api_key": KEY, "base_url": f"https://user:{KEY}@x.example"},
        KEY,
        [KEY],
    ],
)
def test_k3_a_sibling_that_is_wrong_repeats_nothing(api: Api, body: Any) -> None:
    answer = api.call("PUT", "/v1/settings/keys/openai", json=body)
    refused(answer, 422)
    assert "canary" not in answer.text
    assert api.get("/v1/settings/keys").json()["data"] == []


@on_sqlite
@pytest.mark.parametrize("body", [b'{"api_key": "' + KEY.encode(), KEY.encode(), b"\xff"])
def test_k3_nor_does_a_body_that_is_no_json(api: Api, body: bytes) -> None:
    answer = api.call("PUT", "/v1/settings/keys/openai", content=body)
    refused(answer, 400)
    assert "canary" not in answer.text


@on_sqlite
@pytest.mark.parametrize(
    ("provider", "body", "param"),
    [
        ("openai", {}, "api_key"),
        ("nobody", {"api_key": KEY}, "provider"),
        ("custom:", {"api_key": KEY, "base_url": "https://x.example/v1"}, "provider"),
        ("custom:A B", {"base_url": "https://x.example/v1"}, "provider"),
        ("custom:local", {"api_key": KEY}, "base_url"),
        ("simulated", {"api_key": KEY}, "provider"),
        ("openai", {"api_key": KEY, "base_url": "https://x.example/v1?a=b"}, "base_url"),
        ("openai", {"api_key": KEY, "limits": {"rpm": 2**64}}, "limits.rpm"),
        ("openai", {"api_key": KEY, "limits": {"tpm": -1}}, "limits.tpm"),
    ],
)
def test_what_a_provider_needs_is_said(
    api: Api, provider: str, body: dict[str, Any], param: str
) -> None:
    refused(put(api, provider, **body), 422, param)


@on_sqlite
@pytest.mark.parametrize(
    "url",
    [
        "https://169.254.169.254/v1",
        "https://10.0.0.1/v1",
        "https://[::1]/v1",
        "http://api.openai.com/v1",
        "https://2130706433/",
        "file:///etc/passwd",
        "https://good.example\\@evil.example/",
    ],
)
def test_p16_a_base_url_that_leads_inside_is_refused(api: Api, url: str) -> None:
    refused(put(api, api_key=KEY, base_url=url), 422, "base_url")


@on_sqlite
@pytest.mark.parametrize(
    ("status", "found"),
    [
        (200, (True, "custom:local accepts the key")),
        (401, (False, "custom:local refuses the key (status 401)")),
        (403, (False, "custom:local refuses the key (status 403)")),
        (
            404,
            (True, "custom:local answers, but lists no models to try the key on (status 404)"),
        ),
        (429, (False, "custom:local answered with status 429")),
        (302, (False, "custom:local answered with status 302")),
        (500, (False, "custom:local answered with status 500")),
    ],
)
def test_a_check_tells_what_the_provider_says(
    api: Api, server: FakeServer, status: int, found: tuple[bool, str]
) -> None:
    put(api, "custom:local", api_key=KEY, base_url=f"{server.origin}/v1")
    server.reply_always(respond(status, {"error": {"message": f"bad key {KEY}"}}))
    answer = check(api, "custom:local")
    assert (answer["ok"], answer["detail"]) == found
    (seen,) = server.journal
    assert (seen.method, seen.path, seen.body) == ("GET", "/v1/models", b"")


@on_sqlite
def test_a_server_without_a_key_is_checked_without_one(api: Api, server: FakeServer) -> None:
    put(api, "custom:local", base_url=server.origin)
    assert check(api, "custom:local") == {
        "ok": True,
        "detail": "custom:local answers, and asks for no key",
    }
    assert server.journal[0].authorization_sha256 is None


@on_sqlite
def test_a_server_that_is_not_there_is_said(api: Api) -> None:
    put(api, "custom:local", base_url="http://127.0.0.1:9/v1")
    found = check(api, "custom:local")
    assert not found["ok"]
    assert "no connection" in found["detail"]


@on_sqlite
def test_a_key_that_is_not_there_is_neither_checked_nor_deleted(api: Api) -> None:
    for provider in ("openai", "custom:local", "nobody", "%00"):
        refused(api.post(f"/v1/settings/keys/{provider}/check"), 404)
        refused(api.call("DELETE", f"/v1/settings/keys/{provider}"), 404)
    refused(api.call("DELETE", "/v1/settings/keys/simulated"), 404)
    assert check(api, "simulated")["ok"]


def test_a1_anothers_key_is_neither_seen_nor_checked_nor_deleted(api: Api) -> None:
    put(api, api_key=KEY)
    stranger = api.stranger_key()
    assert api.get("/v1/settings/keys", key=stranger).json()["data"] == []
    refused(api.post("/v1/settings/keys/openai/check", key=stranger), 404)
    refused(api.call("DELETE", "/v1/settings/keys/openai", key=stranger), 404)
    assert len(api.get("/v1/settings/keys").json()["data"]) == 1


def test_setting_and_deleting_a_key_is_in_the_audit_log(api: Api) -> None:
    path = "/v1/settings/keys/openai"
    assert api.call("PUT", path, json={"api_key": "sk-canary-audit-1"}).status_code == 200
    assert api.call("DELETE", path).status_code == 204
    told = api.get("/v1/audit").text
    assert "sk-canary" not in told
    done = [(one["action"], one["subject"]) for one in json.loads(told)["data"]]
    assert done[:2] == [("provider_key.deleted", "openai"), ("provider_key.set", "openai")]


def test_a_new_key_lets_go_what_waited_for_the_limits_of_the_former(
    api: Api, server: FakeServer
) -> None:
    engine = api.engine
    limited = respond(429, {"error": {"message": "slow"}}, {"retry-after": "3600"})
    server.reply_always(limited)
    put(api, "custom:x", api_key=KEY, base_url=server.origin)
    api.submit("a", mode="chat", models=["custom:x/m"])
    engine.drain()
    assert engine.claim() == []
    put(api, "custom:x", api_key="sk-another-0123456789wxyz", base_url=server.origin)
    assert len(engine.claim()) == 1
