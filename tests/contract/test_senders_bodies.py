"""Every sender reads bodies, good and bad, without trusting them."""

import gzip
import tracemalloc

import pytest

from app.domain.errors import (
    MalformedCompletionError,
    OutcomeUnknownError,
)
from app.domain.wire import Sender
from tests.contract.sending import CAP_BYTES, DEADLINE_S, outcome, request_to
from tests.fakes.http import head_of
from tests.fakes.provider import (
    FakeProvider,
    bomb,
    endless_body,
    endless_headers,
    gzipped,
    raw,
    respond,
    wrong_length,
)


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
