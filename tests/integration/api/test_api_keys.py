"""API keys over HTTP: made and shown once, listed, revoked for every process at once."""

from datetime import timedelta
from typing import Any

import pytest

from app.accounts.api_keys import Scope
from app.domain.clock import utc_now
from app.pipeline import api_keys
from tests.integration.api.conftest import Api, on_sqlite, refused


def made(api: Api, **body: Any) -> dict[str, Any]:
    answer = api.post("/v1/api-keys", json={"name": "ci", "scopes": ["read"]} | body)
    assert answer.status_code == 201, answer.text
    return answer.json()


def test_a_key_is_shown_once_and_lets_in_with_its_scopes(api: Api) -> None:
    new = made(api, scopes=["read", "submit", "read"])
    secret, key = new["secret"], new["key"]
    assert key["scopes"] == ["read", "submit"]
    assert (key["name"], key["state"], key["hint"]) == ("ci", "active", secret[-4:])
    assert api.get("/v1/batches", key=secret).status_code == 200
    refused(api.get("/v1/api-keys", key=secret), 403)
    listed = api.get("/v1/api-keys")
    assert secret not in listed.text
    assert listed.json()["data"][0] | {"last_used_at": None} == key


def test_a4_a_revoked_key_is_refused_at_the_next_request_and_stays_in_the_list(api: Api) -> None:
    new = made(api)
    assert api.get("/v1/batches", key=new["secret"]).status_code == 200
    for _ in range(2):
        answer = api.call("DELETE", f"/v1/api-keys/{new['key']['id']}")
        assert answer.status_code == 204
    refused(api.get("/v1/batches", key=new["secret"]), 401)
    shown = api.get("/v1/api-keys").json()["data"][0]
    assert (shown["state"], shown["revoked_at"] is not None) == ("revoked", True)


def test_a_key_ends_when_it_was_said_to(api: Api) -> None:
    new = made(api, expires_at=(utc_now() + timedelta(hours=1)).isoformat())
    assert api.get("/v1/batches", key=new["secret"]).status_code == 200
    with api.engine.store.transaction() as tx:
        tx.execute(api.engine.store.sql("UPDATE api_key SET expires_at = {after_ms(-1)}"))
    # The admin's own has ended with it.
    refused(api.get("/v1/batches", key=new["secret"]), 401)


def test_keys_are_listed_newest_first_and_by_the_page(api: Api) -> None:
    names = ["one", "two", "three"]
    for name in names:
        made(api, name=name)
    seen, after = [], None
    while True:
        query = {"limit": 2} | ({"after": after} if after else {})
        page = api.get("/v1/api-keys", params=query).json()
        seen += [key["name"] for key in page["data"]]
        after = page["next"]
        if after is None:
            break
    assert seen == [*reversed(names), "test"]


def test_a2_nobody_sees_anothers_keys(api: Api) -> None:
    mine = made(api)["key"]["id"]
    page = api.get("/v1/api-keys", params={"after": mine + ""}, key=api.stranger_key()).json()
    assert mine not in [key["id"] for key in page["data"]]


@on_sqlite
@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"name": " "}, "name"),
        ({"name": "x" * 101}, "name"),
        ({"scopes": []}, "scopes"),
        ({"scopes": ["read", "root"]}, "scopes"),
        ({"expires_at": "2020-01-01T00:00:00Z"}, "expires_at"),
        ({"expires_at": "2999-01-01T00:00:00"}, "expires_at"),
        ({"expires_at": "tomorrow"}, "expires_at"),
        ({"name": 7}, "name"),
    ],
    ids=str,
)
def test_a_key_that_makes_no_sense_is_refused(api: Api, body: dict[str, Any], param: str) -> None:
    given = {"name": "ci", "scopes": ["read"]} | body
    refused(api.post("/v1/api-keys", json=given), 422, param)


@on_sqlite
def test_an_account_has_only_so_many_keys(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api_keys, "API_KEYS_MAX", 2)
    first = made(api)["key"]["id"]
    body = {"name": "one more", "scopes": ["read"]}
    answer = api.post("/v1/api-keys", json=body)
    assert "revoke some" in refused(answer, 403)
    assert answer.json()["error"]["type"] == "quota_exceeded"
    api.call("DELETE", f"/v1/api-keys/{first}")
    made(api)


def test_who_made_and_revoked_a_key_is_in_the_audit_log(api: Api) -> None:
    admin = made(api, scopes=["admin"])
    made_by = api.post(
        "/v1/api-keys", json={"name": "x", "scopes": ["read"]}, key=admin["secret"]
    ).json()
    api.call("DELETE", f"/v1/api-keys/{made_by['key']['id']}", key=admin["secret"])
    log = api.get("/v1/audit").json()["data"]
    assert [(one["action"], one["actor"], one["subject"]) for one in log[:2]] == [
        ("api_key.revoked", admin["key"]["id"], made_by["key"]["id"]),
        ("api_key.created", admin["key"]["id"], made_by["key"]["id"]),
    ]
    assert log[1]["detail"] == {"scopes": ["read"], "expires_at": None}
    assert admin["secret"] not in str(log)


def test_that_a_key_was_used_is_noted_after_the_answer(api: Api) -> None:
    key = api.new_key(Scope.READ)
    api.get("/v1/batches", key=key)
    newest = api.get("/v1/api-keys").json()["data"][0]
    assert newest["hint"] == key[-4:]
    assert newest["last_used_at"] is not None
