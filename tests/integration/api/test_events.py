"""The progress of a batch, as it happens."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from api.streams import STREAMS_MAX, EventStream, Streams, snapshots
from app.domain.errors import NotFoundError, RateLimitedError, UnavailableError
from app.domain.ids import Prefix, new_id
from app.reports.snapshots import Snapshot, Watch
from tests.integration.api.conftest import Api, on_sqlite, refused


def events_in(text: str) -> list[tuple[str, dict[str, Any]]]:
    """The id and the data of every event of a stream."""
    found = []
    for block in text.split("\n\n"):
        lines = [line.partition(": ") for line in block.split("\n") if line]
        fields = {name: value for name, _, value in lines if name}
        if "data" in fields:
            assert fields["event"] == "batch"
            found.append((fields["id"], json.loads(fields["data"])))
    return found


def test_a_closed_batch_has_one_snapshot_and_the_stream_ends(api: Api) -> None:
    batch = api.finished("a", "b")
    path = f"/v1/batches/{batch['id']}"
    answer = api.get(f"{path}/events")
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert answer.headers["x-accel-buffering"] == "no"
    ((version, seen),) = events_in(answer.text)
    assert seen == api.get(path).json()
    assert seen["state"] == "completed"
    # Whoever comes back with an older version, or none that there ever was, gets it again.
    again = api.get(f"{path}/events", headers={"Last-Event-ID": "older"})
    assert events_in(again.text) == [(version, seen)]
    done = api.get(f"{path}/events", headers={"Last-Event-ID": version})
    assert (done.status_code, done.content) == (204, b"")


def test_what_changes_is_seen_and_what_does_not_is_not(api: Api) -> None:
    batch = api.submit("a", "b")
    watch = Watch(api.engine.store, api.engine.account_id, batch["id"])
    first = watch.look()
    assert first is not None
    assert (first.view.state, first.is_last) == ("queued", False)
    assert [watch.look() for _ in range(12)] == [None] * 12
    api.post(f"/v1/batches/{batch['id']}/pause")
    paused = watch.look()
    assert paused is not None
    assert paused.view.waiting_on is not None
    api.post(f"/v1/batches/{batch['id']}/resume")
    api.engine.drain()
    last = watch.look()
    assert last is not None
    assert (last.view.state, last.is_last) == ("completed", True)
    assert len({first.version, paused.version, last.version}) == 3
    assert watch.look() is None


@on_sqlite
def test_who_may_not_see_the_batch_sees_no_event_of_it(api: Api) -> None:
    batch = api.finished("a")
    path = f"/v1/batches/{batch['id']}/events"
    refused(api.get(path, key=api.stranger_key()), 404)
    refused(api.get(f"/v1/batches/{new_id(Prefix.BATCH)}/events"), 404)
    refused(api.get(path, key=None), 401)


@on_sqlite
def test_streams_of_an_account_are_bounded_and_given_back(api: Api) -> None:
    streams: Streams = api.client.app.state.streams  # type: ignore[attr-defined]
    account_id = api.engine.account_id
    path = f"/v1/batches/{api.finished('a')['id']}/events"
    for _ in range(STREAMS_MAX + 1):
        assert api.get(path).status_code == 200
    held = [streams.open(account_id, _none()) for _ in range(STREAMS_MAX)]
    answer = api.get(path)
    assert "streams open" in refused(answer, 429)
    assert int(answer.headers["retry-after"]) > 0
    assert api.get(path, key=api.stranger_key()).status_code == 404
    with pytest.raises(RateLimitedError):
        streams.open(account_id, _none())
    _run(lambda: _hang_up(held[0]))
    assert api.get(path).status_code == 200


@on_sqlite
def test_a_stream_goes_on_while_the_store_is_away_and_ends_with_the_right_to_see(api: Api) -> None:
    batch = api.submit("a")
    watch = Watch(api.engine.store, api.engine.account_id, batch["id"])
    first = watch.look()
    assert first is not None
    looks: list[Any] = [UnavailableError(), None, None, NotFoundError()]

    def look() -> Snapshot | None:
        found = looks.pop(0)
        if isinstance(found, Exception):
            raise found
        return None

    async def read() -> list[bytes]:
        return [piece async for piece in snapshots(first, look, look_s=1e-6, alive_s=2e-6)]

    pieces = _run(read)
    assert pieces[0].startswith(b"retry: ")
    assert pieces[1:] == [b": nothing new\n\n"]
    assert looks == []


@on_sqlite
def test_a_key_that_is_revoked_ends_its_streams(api: Api) -> None:
    batch = api.submit("a")
    made = api.post("/v1/api-keys", json={"name": "x", "scopes": ["read"]}).json()
    sent: list[dict[str, Any]] = []
    has_begun = asyncio.Event()

    async def watch() -> None:
        """The stream over plain ASGI: the test's client would wait for its end."""
        answer = asyncio.create_task(
            api.client.app(  # type: ignore[call-arg, func-returns-value, arg-type]
                _scope(f"/v1/batches/{batch['id']}/events", made["secret"]), _receive, send
            )
        )
        await has_begun.wait()
        await asyncio.to_thread(api.call, "DELETE", f"/v1/api-keys/{made['key']['id']}")
        await answer

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)
        if message.get("body"):
            has_begun.set()

    _run(watch)
    body = b"".join(one.get("body", b"") for one in sent)
    ((_, seen),) = events_in(body.decode())
    assert seen["state"] == "queued"
    assert sent[-1]["more_body"] is False


async def _receive() -> dict[str, Any]:
    await asyncio.Event().wait()
    return {}


def _scope(path: str, key: str) -> dict[str, Any]:
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "headers": [(b"authorization", f"Bearer {key}".encode())],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 80),
    }


async def _none() -> AsyncIterator[bytes]:
    return
    yield b""


async def _hang_up(stream: EventStream) -> None:
    """The client is gone before anything could be sent."""

    async def send(_: Any) -> None:
        raise OSError

    with pytest.raises(Exception):  # noqa: B017, PT011 - whatever the framework makes of it
        await stream({"type": "http", "asgi": {"spec_version": "2.4"}}, _receive, send)


def _run(work: Callable[[], Awaitable[Any]]) -> Any:
    return asyncio.run(work())  # type: ignore[arg-type]
