"""Every sender keeps the promises of `domain.wire.Sender`, against a provider that misbehaves."""

import asyncio
import contextlib
import socket
import time
from collections.abc import Iterator

import pytest

from app.domain.errors import (
    OutcomeUnknownError,
    ProviderRefusedError,
    ProviderUnavailableError,
)
from app.domain.wire import Response, Sender
from tests.contract.sending import (
    BODY,
    CANARY,
    DEADLINE_S,
    make_sender,
    outcome,
    request_to,
)
from tests.fakes.http import head_of
from tests.fakes.provider import (
    FakeProvider,
    answer,
    drip,
    drop,
    hang,
    raw,
    redirect,
    respond,
    sha256_of,
)


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


async def test_an_answer_is_read_even_if_one_of_its_headers_is_not_text(
    sender: Sender, provider: FakeProvider
) -> None:
    head = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nretry-after: 3\r\nx-odd: \xff\xfe\r\n\r\n"
    provider.reply_with(raw(head + b"{}"))
    response = await sender.send(request_to(provider.url), DEADLINE_S)
    assert (response.status_code, response.body) == (200, b"{}")
    assert response.headers["retry-after"] == "3"


@pytest.mark.parametrize("status", [400, 401, 429, 500, 529])
async def test_every_status_is_an_answer_and_not_an_exception(
    sender: Sender, provider: FakeProvider, status: int
) -> None:
    provider.reply_with(respond(status, b'{"error": {"message": "no"}}'))
    response = await sender.send(request_to(provider.url), DEADLINE_S)
    assert response == Response(status, response.headers, b'{"error": {"message": "no"}}')


@pytest.mark.parametrize(("kind", "connections"), [("fast", 1), ("guarded", 1), ("httpx", 5)])
async def test_connections_are_used_again_where_nothing_can_be_left_in_them(
    kind: str, connections: int, provider: FakeProvider
) -> None:
    sender = make_sender(kind)
    for _ in range(5):
        await sender.send(request_to(provider.url), DEADLINE_S)
    await sender.close()
    assert len({seen.connection for seen in provider.journal}) == connections


async def test_many_requests_are_in_flight_at_once(sender: Sender, provider: FakeProvider) -> None:
    provider.reply_always(answer(delay_s=0.3))
    began = time.monotonic()
    await asyncio.gather(*(sender.send(request_to(provider.url), DEADLINE_S) for _ in range(16)))
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
    assert 0.4 < time.monotonic() - began < 4


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
    assert time.monotonic() - began < 4


async def test_p8_a_request_that_is_given_up_leaves_no_connection_behind(
    sender: Sender, provider: FakeProvider
) -> None:
    provider.reply_with(drip(every_s=0.01))
    await outcome(sender, request_to(provider.url), deadline_s=0.2)
    await sender.send(request_to(provider.url), DEADLINE_S)
    assert [seen.connection for seen in provider.journal] == [1, 2]


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
