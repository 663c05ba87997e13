"""Who may: every route behind a key, each scope its own, and other accounts' things unknown."""

import re
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest
from sqlmodel import select

from api.main import create_app
from app.accounts.api_keys import Scope, revoke_api_key
from app.domain.ids import Prefix, job_id, new_id
from app.models import ApiKey, Job
from tests.integration.api.conftest import Api, on_sqlite, refused, submission

ID_KINDS = {"batch_id": Prefix.BATCH, "job_id": Prefix.JOB, "file_id": Prefix.FILE}


class Route(NamedTuple):
    """One operation that the description has."""

    method: str
    path: str
    scope: str


def routes() -> Iterator[Route]:
    for path, operations in create_app().openapi()["paths"].items():
        for method, operation in operations.items():
            if path.startswith("/v1"):
                (security,) = operation["security"]
                (scope,) = security["apiKey"]
                yield Route(method.upper(), path, scope)


ROUTES = list(routes())
WITH_ID = [route for route in ROUTES if any(kind in route.path for kind in ID_KINDS)]


def path_of(route: Route, ids: dict[str, str]) -> str:
    return re.sub(r"{(\w+)}", lambda match: ids.get(match[1], "openai"), route.path)


def fresh_ids() -> dict[str, str]:
    fresh = {name: new_id(prefix) for name, prefix in ID_KINDS.items()}
    return fresh | {"job_id": job_id(fresh["batch_id"], 0)}


def body_for(route: Route) -> dict[str, Any]:
    if route.path == "/v1/files":
        return {"files": {"file": ("x.jsonl", b'{"prompt": "a"}')}}
    if route.path == "/v1/batches" and route.method == "POST":
        return {"json": submission()}
    return {"json": {"api_key": "sk-0123456789abcdef"}} if route.method == "PUT" else {}


def test_every_door_of_the_design_is_described() -> None:
    assert len(ROUTES) >= 23
    assert len(WITH_ID) >= 9


@on_sqlite
def test_a1_no_route_answers_without_a_key(api: Api) -> None:
    for route in ROUTES:
        answer = api.call(route.method, path_of(route, fresh_ids()), key=None, **body_for(route))
        refused(answer, 401)
        assert answer.headers["www-authenticate"] == "Bearer", route


@on_sqlite
def test_a5_a_key_opens_what_its_scope_says_and_nothing_else(api: Api) -> None:
    keys = {scope: api.new_key(scope) for scope in Scope}
    for route in ROUTES:
        for scope, key in keys.items():
            answer = api.call(route.method, path_of(route, fresh_ids()), key=key, **body_for(route))
            if scope in {route.scope, Scope.ADMIN}:
                assert answer.status_code not in {401, 403}, route
            else:
                assert route.scope in refused(answer, 403), route


def test_a5_whatever_changes_something_needs_more_than_to_read() -> None:
    assert all(route.scope != Scope.READ for route in ROUTES if route.method != "GET")


def test_a1_anothers_thing_is_as_unknown_as_what_never_was(api: Api) -> None:
    batch = api.finished("a")
    with api.engine.store.read() as session:
        job_id = session.exec(select(Job.id).where(Job.batch_id == batch["id"])).one()
    file = api.post("/v1/files", files={"file": ("x.jsonl", b'{"prompt": "a"}')}).json()
    mine = {"batch_id": batch["id"], "job_id": job_id, "file_id": file["id"]}
    stranger, unknown = api.stranger_key(), fresh_ids()
    for route in WITH_ID:
        theirs = api.call(route.method, path_of(route, mine), key=stranger)
        nobodys = api.call(route.method, path_of(route, unknown), key=stranger)
        assert shape_of(refused(theirs, 404), mine) == shape_of(refused(nobodys, 404), unknown)
        assert api.call(route.method, path_of(route, mine)).status_code != 404, route


def shape_of(message: str, ids: dict[str, str]) -> str:
    for name, id_ in ids.items():
        message = message.replace(id_, name)
    return message


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
        [("Authorization", f"bearer {key}")],
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
@pytest.mark.parametrize("number", range(13))
def test_a6_a_header_that_is_not_quite_one_lets_nobody_in(api: Api, number: int) -> None:
    headers = [
        (name.encode(), value.encode("latin-1"))
        for name, value in headers_that_are_none(api.admin_key)[number]
    ]
    refused(api.client.get("/v1/batches", headers=headers), 401)


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
