"""Every sender keeps the promises of `domain.wire.Sender`, against a provider that misbehaves."""

import asyncio
import contextlib
import gzip
import socket
import time
import tracemalloc
from collections.abc import AsyncIterator, Iterator

import pytest

from app.domain.errors import (
    AppError,
    MalformedCompletionError,
    OutcomeUnknownError,
    ProviderRefusedError,
    ProviderUnavailableError,
)
from app.domain.wire import Request, Response, Sender
from app.net import GuardedSender
from app.providers.senders import FastSender, HttpxSender
from tests.fakes.http import head_of
from tests.fakes.provider import (
    FakeProvider,
    answer,
    bomb,
    drip,
    drop,
    endless_body,
    endless_headers,
    gzipped,
    hang,
    raw,
    redirect,
    respond,
    sha256_of,
    wrong_length,
)

CAP_BYTES = 1_000_000
CONNECT_TIMEOUT_S = 0.5
DEADLINE_S = 5.0
CANARY = "sk-canary-0123456789"
BODY = b'{"model": "m", "messages": [{"role": "user", "content": "hi"}]}'


def make_sender(kind: str) -> Sender:
    options = {"response_bytes_max": CAP_BYTES, "connect_timeout_s": CONNECT_TIMEOUT_S}
    match kind:
        case "httpx":
            return HttpxSender(**options)
        case "fast":
            return FastSender(**options)
        case _:
            return GuardedSender(("127.0.0.1",), **options)


@pytest.fixture(params=["httpx", "fast", "guarded"])
async def sender(request: pytest.FixtureRequest) -> AsyncIterator[Sender]:
    made = make_sender(request.param)
    yield made
    await made.close()


@pytest.fixture
def provider() -> Iterator[FakeProvider]:
    with FakeProvider() as provider:
        yield provider


def request_to(url: str, **headers: str) -> Request:
    return Request(
        "POST", f"{url}/chat/completions", {"authorization": f"Bearer {CANARY}"} | headers, BODY
    )


async def outcome(sender: Sender, request: Request, deadline_s: float = DEADLINE_S) -> AppError:
    """The error it ends in, which shows no secret and no library's exception behind it."""
    with pytest.raises(AppError) as caught:
        await sender.send(request, deadline_s)
    error = caught.value
    assert CANARY not in repr(error)
    assert error.__suppress_context__ or error.__context__ is None
    return error


async def test_a_request_arrives_as_it_was_built(sender: Sender, provider: FakeProvider) -> None:
    response = await sender.send(request_to(provider.url, **{"x-own": "1"}), DEADLINE_S)
    (seen,) = provider.journal
    assert (seen.method, seen.path, seen.body) == ("POST", "/v1/chat/completions", BODY)
    assert seen.authorization_sha256 == sha256_of(f"Bearer {CANARY}")
    assert seen.headers["x-own"] == "1"
    assert response.status_code == 200
    assert b"echo: hi" in response.body


async def test_no_encoding_is_asked_for(sender: Sender, provider: FakeProvider) -> None:
    await sender.send(request_to(provider.url), DEADLINE_S)
    assert provider.journal[0].headers["accept-encoding"] == "identity"


async def test_header_names_come_back_in_lower_case(sender: Sender, provider: FakeProvider) -> None:
    provider.reply_with(answer(headers={"X-Request-ID": "req_1", "Retry-After": "3"}))
    response = await sender.send(request_to(provider.url), DEADLINE_S)
    assert response.headers["x-request-id"] == "req_1"
    assert response.headers["retry-after"] == "3"


@pytest.mark.parametrize("status", [400, 401, 429, 500, 529])
async def test_every_status_is_an_answer_and_not_an_exception(
    sender: Sender, provider: FakeProvider, status: int
) -> None:
    provider.reply_with(respond(status, b'{"error": {"message": "no"}}'))
    response = await sender.send(request_to(provider.url), DEADLINE_S)
    assert response == Response(status, response.headers, b'{"error": {"message": "no"}}')


async def test_connections_are_used_again(sender: Sender, provider: FakeProvider) -> None:
    for _ in range(5):
        await sender.send(request_to(provider.url), DEADLINE_S)
    assert {seen.connection for seen in provider.journal} == {1}


async def test_many_requests_are_in_flight_at_once(sender: Sender, provider: FakeProvider) -> None:
    provider.reply_always(answer(delay_s=0.3))
    began = time.monotonic()
    await asyncio.gather(*(sender.send(request_to(provider.url), DEADLINE_S) for _ in range(40)))
    assert time.monotonic() - began < 3


async def test_p5_a_refused_connection_means_that_nothing_was_bought(sender: Sender) -> None:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        error = await outcome(sender, request_to(f"http://127.0.0.1:{held.getsockname()[1]}"))
    assert isinstance(error, ProviderUnavailableError)
    assert error.reason == "connect"


@contextlib.contextmanager
def full_backlog() -> Iterator[str]:
    """A server that takes no further connection, and does not refuse it either."""
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(socket.socket())
        server.bind(("127.0.0.1", 0))
        server.listen(0)
        for _ in range(2):
            filler = stack.enter_context(socket.socket())
            filler.settimeout(0)
            with contextlib.suppress(BlockingIOError):
                filler.connect(server.getsockname())
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


async def test_p5_a_connect_timeout_means_that_nothing_was_bought(sender: Sender) -> None:
    with full_backlog() as url:
        error = await outcome(sender, request_to(url))
    assert isinstance(error, ProviderUnavailableError)
    assert error.reason == "connect"


async def test_p5_no_answer_in_time_leaves_the_outcome_unknown(
    sender: Sender, provider: FakeProvider
) -> None:
    provider.reply_with(hang())
    began = time.monotonic()
    error = await outcome(sender, request_to(provider.url), deadline_s=0.5)
    assert isinstance(error, OutcomeUnknownError)
    assert error.reason == "timeout"
    assert 0.4 < time.monotonic() - began < 2


@pytest.mark.parametrize("abort", [False, True])
@pytest.mark.parametrize(
    "after",
    [
        b"",
        b"HTTP/1.1 200 OK\r\ncontent-le",
        head_of(200, {"content-length": "100"}),
        head_of(200, {"content-length": "100"}) + b'{"id": "x',
        head_of(200, {"transfer-encoding": "chunked"}) + b"20\r\nabc",
    ],
    ids=["nothing", "half_headers", "headers", "half_body", "half_chunk"],
)
async def test_p6_a_dropped_connection_leaves_the_outcome_unknown_and_is_not_tried_again(
    sender: Sender, provider: FakeProvider, after: bytes, *, abort: bool
) -> None:
    provider.reply_with(drop(after=after, abort=abort))
    error = await outcome(sender, request_to(provider.url))
    assert isinstance(error, OutcomeUnknownError)
    assert error.reason == "dropped"
    assert len(provider.journal) == 1


async def test_p6_nor_is_it_tried_again_on_a_connection_that_was_used_before(
    sender: Sender, provider: FakeProvider
) -> None:
    await sender.send(request_to(provider.url), DEADLINE_S)
    provider.reply_with(drop())
    error = await outcome(sender, request_to(provider.url))
    assert isinstance(error, OutcomeUnknownError)
    assert len(provider.journal) == 2


async def test_p8_a_slow_drip_is_cut_at_the_total_deadline(
    sender: Sender, provider: FakeProvider
) -> None:
    provider.reply_with(drip())
    began = time.monotonic()
    error = await outcome(sender, request_to(provider.url), deadline_s=0.5)
    assert isinstance(error, OutcomeUnknownError)
    assert error.reason == "timeout"
    assert time.monotonic() - began < 2


async def test_p8_a_request_that_is_given_up_leaves_no_connection_behind(
    sender: Sender, provider: FakeProvider
) -> None:
    provider.reply_with(drip(every_s=0.01))
    await outcome(sender, request_to(provider.url), deadline_s=0.2)
    await sender.send(request_to(provider.url), DEADLINE_S)
    assert [seen.connection for seen in provider.journal] == [1, 2]


async def test_p9_a_gzip_bomb_is_stopped_at_the_cap(sender: Sender, provider: FakeProvider) -> None:
    provider.reply_with(bomb(64 << 20))
    tracemalloc.start()
    try:
        error = await outcome(sender, request_to(provider.url))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert isinstance(error, MalformedCompletionError)
    assert (error.reason, error.status_code) == ("too_large", 200)
    assert peak < 16 << 20


async def test_p9_an_endless_body_is_stopped_at_the_cap(
    sender: Sender, provider: FakeProvider
) -> None:
    provider.reply_with(endless_body())
    error = await outcome(sender, request_to(provider.url))
    assert isinstance(error, MalformedCompletionError)
    assert error.reason == "too_large"


async def test_p9_a_body_one_byte_over_the_cap_is_refused(
    sender: Sender, provider: FakeProvider
) -> None:
    provider.reply_with(respond(200, b" " * (CAP_BYTES + 1)))
    error = await outcome(sender, request_to(provider.url))
    assert isinstance(error, MalformedCompletionError)
    assert error.reason == "too_large"


async def test_a_body_just_at_the_cap_is_read(sender: Sender, provider: FakeProvider) -> None:
    provider.reply_with(respond(200, b" " * CAP_BYTES))
    response = await sender.send(request_to(provider.url), DEADLINE_S)
    assert len(response.body) == CAP_BYTES


async def test_gzip_that_nobody_asked_for_is_unpacked(
    sender: Sender, provider: FakeProvider
) -> None:
    provider.reply_with(gzipped(b'{"id": "x"}'))
    response = await sender.send(request_to(provider.url), DEADLINE_S)
    assert response.body == b'{"id": "x"}'


@pytest.mark.parametrize(
    ("encoding", "body"),
    [
        ("br", b"\x8b\x02\x80{}\x03"),
        ("gzip", b"not gzip at all"),
        ("gzip", gzip.compress(b'{"id": "x"}')[:-9]),
        ("gzip, gzip", gzip.compress(gzip.compress(b"{}"))),
    ],
    ids=["unknown", "untrue", "cut", "twice"],
)
async def test_p7_an_encoding_that_cannot_be_read_is_malformed(
    sender: Sender, provider: FakeProvider, encoding: str, body: bytes
) -> None:
    provider.reply_with(respond(200, body, {"content-encoding": encoding}))
    error = await outcome(sender, request_to(provider.url))
    assert isinstance(error, MalformedCompletionError)
    assert error.reason == "content_encoding"


async def test_p10_a_body_shorter_than_its_length_is_no_success(
    sender: Sender, provider: FakeProvider
) -> None:
    provider.reply_with(wrong_length(b'{"id": "x"}', 100))
    error = await outcome(sender, request_to(provider.url))
    assert isinstance(error, OutcomeUnknownError)
    assert error.reason == "dropped"


async def test_p10_what_follows_a_body_is_no_answer_to_the_next_request(
    sender: Sender, provider: FakeProvider
) -> None:
    smuggled = head_of(200, {"content-length": "8"}) + b"smuggled"
    provider.reply_with(wrong_length(b"{}" + smuggled, 2))
    first = await sender.send(request_to(provider.url), DEADLINE_S)
    second = await sender.send(request_to(provider.url), DEADLINE_S)
    assert first.body == b"{}"
    assert b"echo: hi" in second.body


async def test_p7_an_answer_that_is_no_http_is_malformed(
    sender: Sender, provider: FakeProvider
) -> None:
    provider.reply_with(raw(b"SSH-2.0-OpenSSH_9.6\r\n\r\n"))
    error = await outcome(sender, request_to(provider.url))
    assert isinstance(error, MalformedCompletionError)
    assert error.reason == "bad_http"


async def test_p7_endless_headers_are_malformed(sender: Sender, provider: FakeProvider) -> None:
    provider.reply_with(endless_headers())
    error = await outcome(sender, request_to(provider.url))
    assert isinstance(error, MalformedCompletionError)
    assert error.reason == "bad_http"


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_x9_a_redirect_is_handed_back_and_not_followed(
    sender: Sender, provider: FakeProvider, status: int
) -> None:
    with FakeProvider() as elsewhere:
        provider.reply_with(redirect(status, elsewhere.url))
        response = await sender.send(request_to(provider.url), DEADLINE_S)
        assert response.status_code == status
        assert elsewhere.journal == []


@pytest.mark.parametrize("variable", ["HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"])
@pytest.mark.parametrize("kind", ["httpx", "fast", "guarded"])
async def test_x11_a_proxy_of_the_environment_is_not_used(
    provider: FakeProvider, monkeypatch: pytest.MonkeyPatch, kind: str, variable: str
) -> None:
    with FakeProvider() as proxy:
        monkeypatch.setenv(variable, proxy.origin)
        sender = make_sender(kind)
        try:
            await sender.send(request_to(provider.url), DEADLINE_S)
        finally:
            await sender.close()
        assert proxy.journal == []
    assert len(provider.journal) == 1


@pytest.mark.parametrize("key", [f"{CANARY}\n", f"{CANARY}\r\nx-evil: 1", f"{CANARY}\0"])
async def test_k2_a_key_that_cannot_be_a_header_is_not_sent_and_not_shown(
    sender: Sender, provider: FakeProvider, key: str
) -> None:
    error = await outcome(sender, request_to(provider.url, authorization=f"Bearer {key}"))
    assert isinstance(error, ProviderRefusedError)
    assert error.reason == "not_sendable"
    assert provider.journal == []


async def test_cookies_are_not_kept(sender: Sender, provider: FakeProvider) -> None:
    provider.reply_with(answer(headers={"set-cookie": "tracked=yes; Path=/"}))
    for _ in range(2):
        await sender.send(request_to(provider.url), DEADLINE_S)
    assert "cookie" not in provider.journal[1].headers


async def test_closing_a_sender_that_never_sent_is_fine(sender: Sender) -> None:
    await sender.close()
