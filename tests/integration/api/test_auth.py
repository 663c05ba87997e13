"""Who may: every route behind a key, each scope its own, and other accounts' things unknown."""

import httpx2
import pytest
from sqlmodel import select

from app.accounts.api_keys import Scope, revoke_api_key
from app.models import ApiKey
from tests.integration.api.conftest import Api, on_sqlite, refused, submission
from tests.integration.api.crossing import Route, made_by, never_made, routes

ROUTES = list(routes())
WITH_ID = [route for route in ROUTES if route.ids]
#: What of an answer is of that one request.
OWN_HEADERS = frozenset({"x-request-id", "content-length", "date"})


def test_a1_of_every_id_in_a_path_there_is_one_to_try() -> None:
    assert len(ROUTES) >= 27
    assert len(WITH_ID) >= 10
    unknown = {name for route in WITH_ID for name in route.ids} - never_made().keys()
    assert unknown == set(), "say in crossing.py how one is made"


@on_sqlite
def test_a1_no_route_answers_without_a_key(api: Api) -> None:
    for route in ROUTES:
        answer = api.call(route.method, route.at(never_made()), key=None, **route.body)
        assert answer.status_code == 401, route
        assert answer.headers["www-authenticate"] == "Bearer", route


@on_sqlite
def test_a5_a_key_opens_what_its_scope_says_and_nothing_else(api: Api) -> None:
    keys = {scope: api.new_key(scope) for scope in Scope}
    for route in ROUTES:
        for scope, key in keys.items():
            answer = api.call(route.method, route.at(never_made()), key=key, **route.body)
            if scope in {route.scope, Scope.ADMIN}:
                assert answer.status_code not in {401, 403}, route
            else:
                assert answer.status_code == 403, route
                assert route.scope in answer.text, route


def test_a5_whatever_changes_something_needs_more_than_to_read() -> None:
    assert all(route.scope != Scope.READ for route in ROUTES if route.method != "GET")


def test_a1_anothers_thing_is_as_unknown_as_what_never_was(api: Api) -> None:
    mine, unknown, stranger = made_by(api), never_made(), api.stranger_key()
    for route in WITH_ID:
        theirs = api.call(route.method, route.at(mine), key=stranger, **route.body)
        nobodys = api.call(route.method, route.at(unknown), key=stranger, **route.body)
        assert theirs.status_code == 404, route
        assert shape_of(theirs, mine) == shape_of(nobodys, unknown), route
    for route in WITH_ID:
        # What one deletion has deleted is not there for the next.
        assert_is_there(api, route, made_by(api) if route.method == "DELETE" else mine)


def assert_is_there(api: Api, route: Route, mine: dict[str, str]) -> None:
    assert api.call(route.method, route.at(mine), **route.body).status_code != 404, route


def shape_of(answer: httpx2.Response, ids: dict[str, str]) -> tuple[object, ...]:
    """All of an answer but what is of that request alone, with its ids by their names."""
    text = answer.text.replace(answer.headers["x-request-id"], "request")
    for name, id_ in ids.items():
        text = text.replace(id_, name)
    kept = {name: value for name, value in answer.headers.items() if name not in OWN_HEADERS}
    return answer.status_code, text, kept


def test_a1_anothers_file_is_no_input(api: Api) -> None:
    file = api.post("/v1/files", files={"file": ("x.jsonl", b'{"prompt": "a"}')}).json()
    body = submission(input_file_id=file["id"], jobs=None)
    assert api.post("/v1/batches", json=body).status_code == 201
    refused(api.post("/v1/batches", json=body, key=api.stranger_key()), 422, "input_file_id")


def test_a2_a_list_never_shows_anothers(api: Api) -> None:
    batch, stranger = api.submit("a"), api.stranger_key()
    assert api.get("/v1/batches", key=stranger).json() == {
        "data": [],
        "next": None,
        "object": "list",
    }
    theirs = api.post("/v1/batches", json=submission("b"), key=stranger).json()
    assert api.get(f"/v1/batches?after={batch['id']}", key=stranger).json()["data"] == []
    listed = api.get("/v1/batches", key=stranger).json()["data"]
    assert [one["id"] for one in listed] == [theirs["id"]]


def headers_that_are_none(key: str) -> list[list[tuple[str, str]]]:
    return [
        [],
        [("Authorization", "")],
        [("Authorization", key)],
        [("Authorization", f"Bearer  {key}")],
        [("Authorization", f"Bearer {key} ")],
        [("Authorization", f"Bearer {key}\x00")],
        [("Authorization", f"Basic {key}")],
        [("Authorization", f"Bearer {key}"), ("Authorization", f"Bearer {key}")],
        [("Authorization", f"Bearer {key}, Bearer {key}")],
        [("Authorization", "Bearer ovn_" + "x" * 1_000_000)],
        [("Authorization", "Bearer \xff\xfe")],
        [("X-Api-Key", key)],
    ]


@on_sqlite
@pytest.mark.parametrize("number", range(12))
def test_a6_a_header_that_is_not_quite_one_lets_nobody_in(api: Api, number: int) -> None:
    headers = [
        (name.encode(), value.encode("latin-1"))
        for name, value in headers_that_are_none(api.admin_key)[number]
    ]
    refused(api.client.get("/v1/batches", headers=headers), 401)


@on_sqlite
@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
def test_a6_a_scheme_is_known_in_any_case(api: Api, scheme: str) -> None:
    headers = {"Authorization": f"{scheme} {api.admin_key}"}
    assert api.client.get("/v1/batches", headers=headers).status_code == 200


def test_a4_a_revoked_key_is_refused_at_the_next_request(api: Api) -> None:
    key = api.new_key(Scope.READ)
    assert api.get("/v1/batches", key=key).status_code == 200
    with api.engine.store.transaction() as tx:
        row = tx.exec(select(ApiKey).where(ApiKey.hint == key[-4:], ApiKey.scopes == "read")).one()
        revoke_api_key(tx, row.account_id, row.id)
    refused(api.get("/v1/batches", key=key), 401)


def test_that_a_key_was_used_is_noted(api: Api) -> None:
    key = api.new_key(Scope.READ)
    api.get("/v1/batches", key=key)
    with api.engine.store.read() as session:
        row = session.exec(select(ApiKey).where(ApiKey.hint == key[-4:], ApiKey.scopes == "read"))
        assert row.one().last_used_at is not None


@on_sqlite
def test_a11_a_host_or_forwarding_header_changes_nothing(api: Api) -> None:
    headers = {"Host": "evil.example", "X-Forwarded-For": "127.0.0.1", "X-Account-Id": "acct_x"}
    refused(api.get("/v1/batches", key=None, headers=headers), 401)
    assert api.get("/v1/batches", headers=headers).status_code == 200
