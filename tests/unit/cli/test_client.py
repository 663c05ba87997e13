"""Whatever the API or the network answers, the person is told what to do."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from api.cli.client import Client
from api.cli.failure import ExitCode, Failure
from api.cli.place import ApiKey, api_url, find_api_key
from app.settings import load_settings
from tests.fakes.api import FakeApi

KEY = ApiKey("ovn_a_made_up_key_that_ends_in_wxyz", "/data/api-key")


def client_of(api: FakeApi, key: ApiKey | None = KEY) -> Client:
    return Client("http://overnight.test", key, httpx.MockTransport(api.handle))


def failure_of(api: FakeApi, key: ApiKey | None = KEY) -> Failure:
    with pytest.raises(Failure) as caught:
        client_of(api, key).get("/v1/batches")
    return caught.value


def test_it_shows_its_key() -> None:
    api = FakeApi()
    api.answer("GET /v1/batches", {"data": []})
    client_of(api).get("/v1/batches", after=None, limit=3)
    (request,) = api.journal
    assert request.headers["authorization"] == f"Bearer {KEY.value}"
    assert str(request.url) == "http://overnight.test/v1/batches?limit=3"


def test_an_api_that_is_not_there_is_to_be_started() -> None:
    api = FakeApi()
    api.answer("GET /v1/batches", httpx.ConnectError("refused"))
    failure = failure_of(api)
    assert failure.code == ExitCode.UNREACHABLE
    assert "`overnight up`" in failure.message
    assert "OVERNIGHT_URL" in failure.message


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("api.cli.client._RETRY_S", 0.0)


@pytest.mark.parametrize("error", [httpx.ReadTimeout("slow"), httpx.RemoteProtocolError("cut")])
def test_a_network_that_fails_is_no_answer(error: httpx.TransportError) -> None:
    api = FakeApi()
    api.answer("GET /v1/batches", error)
    assert failure_of(api).code == ExitCode.UNREACHABLE


def test_a_refused_key_is_named_by_its_last_characters_and_its_place() -> None:
    api = FakeApi()
    api.refuse("GET /v1/batches", 401, "no")
    failure = failure_of(api)
    assert failure.code == ExitCode.REFUSED
    assert "…wxyz from /data/api-key" in failure.message
    assert KEY.value not in failure.message


def test_a_missing_key_is_to_be_set() -> None:
    api = FakeApi()
    api.refuse("GET /v1/batches", 401, "no")
    assert "OVERNIGHT_API_KEY" in failure_of(api, key=None).message


def test_a_key_without_the_scope_is_named_too() -> None:
    api = FakeApi()
    api.refuse("GET /v1/batches", 403, "this API key does not have the scope 'admin'")
    failure = failure_of(api)
    assert failure.code == ExitCode.REFUSED
    assert "scope 'admin'" in failure.message
    assert "…wxyz" in failure.message


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (404, ExitCode.FAILED),
        (402, ExitCode.FAILED),
        (409, ExitCode.USAGE),
        (413, ExitCode.USAGE),
        (422, ExitCode.USAGE),
    ],
)
def test_what_the_api_says_is_said(status: int, code: ExitCode) -> None:
    api = FakeApi()
    api.refuse("GET /v1/batches", status, "jobs[3].custom_id: is used already")
    failure = failure_of(api)
    assert (failure.message, failure.code) == ("jobs[3].custom_id: is used already", code)


def test_a_fault_of_the_api_says_where_to_look() -> None:
    api = FakeApi()
    api.refuse("GET /v1/batches", 500, "something went wrong here")
    assert "req_1" in failure_of(api).message


@pytest.mark.parametrize("status", [200, 404])
def test_something_else_that_answers_is_told_from_an_api(status: int) -> None:
    api = FakeApi()
    api.answer("GET /v1/batches", httpx.Response(status, html="<p>Hello</p>"))
    assert "http://overnight.test" in failure_of(api).message


def test_a_busy_api_is_asked_again_when_that_is_safe() -> None:
    busy = httpx.Response(503, headers={"retry-after": "0"}, json={})
    api = FakeApi()
    api.answer("GET /v1/batches", busy, busy, {"data": []})
    assert client_of(api).get("/v1/batches") == {"data": []}
    assert len(api.journal) == 3


def test_a_busy_api_is_not_asked_twice_to_do_something_unless_it_would_know() -> None:
    busy = httpx.Response(503, headers={"retry-after": "0"}, json={})
    api = FakeApi()
    api.answer("POST /v1/batches", busy, {"id": "batch_1"})
    with pytest.raises(Failure):
        client_of(api).post("/v1/batches", {})
    api.answer("POST /v1/batches", busy, {"id": "batch_1"})
    made = client_of(api).post("/v1/batches", {}, headers={"Idempotency-Key": "once"})
    assert made == {"id": "batch_1"}


def test_a_submission_whose_answer_was_lost_is_sent_again_under_its_key() -> None:
    cut = httpx.RemoteProtocolError("cut")
    api = FakeApi()
    api.answer("POST /v1/batches", cut, {"id": "batch_1"})
    made = client_of(api).post("/v1/batches", {}, headers={"Idempotency-Key": "once"})
    assert made == {"id": "batch_1"}
    api.answer("POST /v1/batches", cut, {"id": "batch_1"})
    with pytest.raises(Failure):
        client_of(api).post("/v1/batches", {})


def test_a_stream_that_breaks_is_said_so() -> None:
    def content() -> Iterator[bytes]:
        yield b'{"n": 1}\n{"n"'
        raise httpx.ReadError("cut")

    api = FakeApi()
    api.answer("GET /v1/results", httpx.Response(200, content=content()))
    with (
        pytest.raises(Failure, match="broke"),
        client_of(api).lines("/v1/results") as lines,
    ):
        list(lines)


def test_pages_are_followed_to_the_end_or_as_far_as_wanted() -> None:
    api = FakeApi()
    first, second = {"data": [1, 2], "next": "2"}, {"data": [3], "next": None}
    api.answer("GET /v1/batches", first, second)
    assert list(client_of(api).pages("/v1/batches")) == [1, 2, 3]
    assert [request.url.params.get("after") for request in api.journal] == [None, "2"]
    api.answer("GET /v1/batches", first)
    assert list(client_of(api).pages("/v1/batches", 2)) == [1, 2]


def test_lines_end_at_line_feeds_only() -> None:
    api = FakeApi()
    content = '{"text":"a\u2028b"}\n{"text":"c\r"}\n{"last":1}'.encode()
    api.answer("GET /v1/results", httpx.Response(200, content=content))
    with client_of(api).lines("/v1/results") as lines:
        assert list(lines) == content.split(b"\n")


def test_the_key_that_is_set_goes_before_the_local_account_s(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("OVERNIGHT_DATA_DIR", str(tmp_path))
    monkeypatch.delenv("OVERNIGHT_API_KEY", raising=False)
    assert find_api_key(load_settings()) is None
    (tmp_path / "api-key").write_text("ovn_local\n")
    assert find_api_key(load_settings()) == ApiKey("ovn_local", str(tmp_path / "api-key"))
    monkeypatch.setenv("OVERNIGHT_API_KEY", "ovn_set")
    assert find_api_key(load_settings()) == ApiKey("ovn_set", "OVERNIGHT_API_KEY")


def test_on_any_free_port_the_api_is_where_up_put_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("OVERNIGHT_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("OVERNIGHT_PORT", "0")
    monkeypatch.delenv("OVERNIGHT_URL", raising=False)
    (tmp_path / "up.lock").write_text('{"pid": 1, "url": "http://127.0.0.1:4321"}')
    assert api_url(load_settings()) == "http://127.0.0.1:4321"
    monkeypatch.setenv("OVERNIGHT_URL", "http://elsewhere")
    assert api_url(load_settings()) == "http://elsewhere"


def test_a_key_shows_its_last_characters_only() -> None:
    assert KEY.value not in repr(KEY)
