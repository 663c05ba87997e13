"""Bodies are read under a limit, and no further."""

import hashlib
from collections.abc import Iterable
from typing import Any

import pytest
from fastapi import Request

from api.body import body_of, decode
from api.errors import EncodedBodyError, MalformedBodyError
from api.v1.provider_keys import KeyBody
from app.domain.errors import InvalidRequestError, TooLargeError


class Sent:
    """A request whose chunks are counted as they are asked for."""

    def __init__(self, chunks: Iterable[bytes], **headers: str) -> None:
        self._chunks = iter(chunks)
        self.asked = 0
        names = {name.replace("_", "-"): value for name, value in headers.items()}
        raw = [(name.encode(), value.encode()) for name, value in names.items()]
        self.request = Request({"type": "http", "headers": raw}, self._receive)

    async def _receive(self) -> dict[str, Any]:
        self.asked += 1
        chunk = next(self._chunks, None)
        return {"type": "http.request", "body": chunk or b"", "more_body": chunk is not None}


def endless() -> Iterable[bytes]:
    while True:
        yield b"x" * 1000


async def test_a_body_is_whole_and_known_by_its_hash() -> None:
    body = await body_of(100)(Sent([b'{"a": ', b'"\xc3', b'\xa9"}']).request)
    assert bytes(body.data) == '{"a": "é"}'.encode()
    assert body.sha256 == hashlib.sha256(body.data).hexdigest()


async def test_i7_what_says_that_it_is_too_large_is_not_read_at_all() -> None:
    sent = Sent(endless(), content_length="51000000")
    with pytest.raises(TooLargeError):
        await body_of(50_000_000)(sent.request)
    assert sent.asked == 0


async def test_i7_a_body_without_end_is_read_up_to_the_limit() -> None:
    sent = Sent(endless())
    with pytest.raises(TooLargeError):
        await body_of(10_000)(sent.request)
    assert sent.asked == 11


async def test_i7_a_lying_length_does_not_pass_the_limit() -> None:
    sent = Sent(endless(), content_length="10")
    with pytest.raises(TooLargeError):
        await body_of(10_000)(sent.request)
    assert sent.asked == 11


@pytest.mark.parametrize("length", ["-1", "1e3", "²", "", "0x10"])
async def test_i7_a_length_that_is_no_number_is_refused(length: str) -> None:
    with pytest.raises(MalformedBodyError):
        await body_of(100)(Sent([], content_length=length).request)


async def test_i7_a_length_of_many_digits_is_too_large() -> None:
    with pytest.raises(TooLargeError):
        await body_of(100)(Sent([], content_length="9" * 5000).request)


@pytest.mark.parametrize("encoding", ["gzip", "br", "identity, gzip", "GZIP"])
async def test_i8_a_compressed_body_is_not_unpacked(encoding: str) -> None:
    sent = Sent(endless(), content_encoding=encoding)
    with pytest.raises(EncodedBodyError):
        await body_of(100)(sent.request)
    assert sent.asked == 0


@pytest.mark.parametrize(
    "chunks",
    [
        [b"\xef\xbb\xbf{}"],
        [b"\xef", b"\xbb\xbf{}"],
        ["{}".encode("utf-16")],
        [b'{"a": "\xff"}'],
        [b'{"a": "\xed\xa0\x80"}'],
    ],
)
async def test_i9_what_is_not_plain_utf8_is_malformed(chunks: list[bytes]) -> None:
    with pytest.raises(MalformedBodyError):
        await body_of(100)(Sent(chunks).request)


def test_k3_a_misspelt_field_is_named_and_nothing_is_repeated() -> None:
    with pytest.raises(InvalidRequestError) as caught:
        decode(b'{"api_kye": "CANARY-1234567890", "base_url": "CANARY"}', KeyBody)
    assert "api_kye" in caught.value.message
    assert "CANARY" not in caught.value.message
    assert caught.value.__cause__ is None


@pytest.mark.parametrize(
    ("body", "param"),
    [
        (b'{"api_key": 5}', "api_key"),
        (b'{"limits": {"rpm": "7"}}', "limits.rpm"),
        (b'{"limits": {"rpm": true}}', "limits.rpm"),
        (b'{"limits": {"rpm": 1.5}}', "limits.rpm"),
        (b'"CANARY"', None),
    ],
)
def test_a_shape_that_is_another_names_the_field(body: bytes, param: str | None) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        decode(body, KeyBody)
    assert caught.value.param == param
    assert "CANARY" not in caught.value.message


@pytest.mark.parametrize("body", [b"", b"{", b"{} x", b"\xff", b'{"a": "\xff"}', b"[" * 100_000])
def test_i5_what_is_no_json_is_malformed(body: bytes) -> None:
    with pytest.raises(MalformedBodyError):
        decode(body, object)
