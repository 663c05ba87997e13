"""Batches found again by what they are called, how they are, and what was noted on them."""

import pytest
from sqlmodel import select

from app.models import BatchMetadata
from tests.integration.api.conftest import Api, on_sqlite, refused


def found(api: Api, query: str, key: str = "") -> list[str]:
    answer = api.get(f"/v1/batches?{query}", key=key)
    assert answer.status_code == 200, answer.text
    return [one["name"] for one in answer.json()["data"]]


@pytest.fixture
def some(api: Api) -> Api:
    api.finished("a", name="one", metadata={"team": "search", "run": "1"})
    api.submit("a", name="two", metadata={"team": "search", "run": "2"})
    api.submit("a", name="three", metadata={"team": "ads", "run": "2"})
    paused = api.submit("a", name="two")
    api.post(f"/v1/batches/{paused['id']}/cancel")
    return api


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("name=two", ["two", "two"]),
        ("name=tw", []),
        ("name=", []),
        ("state=completed", ["one"]),
        ("state=queued&state=completed", ["three", "two", "one"]),
        ("metadata[team]=search", ["two", "one"]),
        ("metadata%5Bteam%5D=search&metadata%5Brun%5D=2", ["two"]),
        ("metadata[team]=ads&state=completed", []),
        ("metadata[run]=2&name=two&state=queued", ["two"]),
        ("metadata[none]=2", []),
        ("metadata[']=' OR 1=1 --", []),
    ],
)
def test_batches_are_narrowed(some: Api, query: str, names: list[str]) -> None:
    assert found(some, query) == names
    assert found(some, query, some.stranger_key()) == []


def test_the_cursor_of_a_narrowed_list_is_stable(some: Api) -> None:
    for query in ("name=two", "metadata[team]=search", "metadata[run]=2&metadata[team]=search"):
        whole = some.get(f"/v1/batches?{query}").json()["data"]
        page = some.get(f"/v1/batches?{query}&limit=1").json()
        seen = page["data"]
        while page["next"]:
            # What comes meanwhile is newer than every page that is left.
            some.submit("a", name="two", metadata={"team": "search", "run": "2"})
            page = some.get(f"/v1/batches?{query}&limit=1&after={page['next']}").json()
            seen += page["data"]
        assert [one["id"] for one in seen] == [one["id"] for one in whole]


@on_sqlite
@pytest.mark.parametrize(
    ("query", "param"),
    [
        ("state=done", "state.0"),
        ("name=%00", "name"),
        (f"name={'a' * 201}", "name"),
        ("metadata=search", None),
        ("metadata[]=a", "metadata[]"),
        ("metadata.team=a", "metadata.team"),
        ("metadata[team]=%00", "metadata.team"),
        (f"metadata[{'a' * 65}]=a", None),
        (f"metadata[team]={'a' * 513}", "metadata.team"),
        ("&".join(f"metadata[{n}]=a" for n in range(5)), "metadata"),
        ("metadata[team]=a&metadata[team]=b", None),
        ("team=a", "team"),
    ],
)
def test_a_bad_filter_is_refused(api: Api, query: str, param: str | None) -> None:
    refused(api.get(f"/v1/batches?{query}"), 422, param)


@on_sqlite
def test_openai_s_batches_are_found_too_and_what_is_purged_is_not(api: Api) -> None:
    line = (
        b'{"custom_id":"q","method":"POST","url":"/v1/chat/completions","body":'
        b'{"model":"simulated/gold","messages":[{"role":"user","content":"Why?"}]}}'
    )
    for content in (line, b"{}"):
        file = api.post(
            "/openai/v1/files", files={"file": ("a.jsonl", content)}, data={"purpose": "batch"}
        ).json()
        body = {
            "input_file_id": file["id"],
            "endpoint": "/v1/chat/completions",
            "completion_window": "24h",
            "metadata": {"team": "search"},
        }
        assert api.post("/openai/v1/batches", json=body).status_code == 200
    assert len(found(api, "metadata[team]=search")) == 2
    api.engine.drain()
    api.post("/v1/account/purge", json={})
    api.engine.drain()
    assert found(api, "metadata[team]=search") == []
    with api.engine.store.read() as session:
        assert session.exec(select(BatchMetadata)).all() == []
