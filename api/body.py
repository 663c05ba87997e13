"""Bodies: read under a limit before anything is parsed, and decoded without repeating them."""

import codecs
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import TypeVar

import msgspec
from fastapi import Request

from api.errors import EncodedBodyError, MalformedBodyError
from app.domain.errors import InvalidRequestError, TooLargeError

SMALL_BYTES_MAX = 64 * 1024
_LENGTH_DIGITS_MAX = 18
_BOMS = (codecs.BOM_UTF8, codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_Shape = TypeVar("_Shape")


@dataclass(frozen=True, slots=True)
class Body:
    """The bytes of a body, in UTF-8, and what they are known again by."""

    data: bytearray = field(repr=False)
    sha256: str


def body_of(bytes_max: int) -> Callable[[Request], Awaitable[Body]]:
    """A dependency: the whole body of a request, of at most so many bytes."""

    async def read(request: Request) -> Body:
        data, digest = bytearray(), hashlib.sha256()
        decoder = codecs.getincrementaldecoder("utf-8")()
        async for chunk in limited_stream(request, bytes_max):
            data += chunk
            digest.update(chunk)
            if data.startswith(_BOMS):
                raise MalformedBodyError("the body begins with a byte order mark; send plain UTF-8")
            try:
                decoder.decode(chunk)
            except UnicodeDecodeError:
                raise MalformedBodyError("the body is not UTF-8") from None
        return Body(data, digest.hexdigest())

    return read


async def limited_stream(request: Request, bytes_max: int) -> AsyncIterator[bytes]:
    """The body in chunks, broken off as soon as it is over the limit.

    Raises:
        EncodedBodyError: it is compressed.
        TooLargeError: it is too large, or says that it will be.
    """
    if request.headers.get("content-encoding", "identity").strip().lower() != "identity":
        raise EncodedBodyError
    length = request.headers.get("content-length", "0")
    if not (length.isascii() and length.isdigit()):
        raise MalformedBodyError("Content-Length is not a number")
    if len(length) > _LENGTH_DIGITS_MAX or int(length) > bytes_max:
        raise _too_large(bytes_max)
    size = 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > bytes_max:
            raise _too_large(bytes_max)
        yield chunk


def _too_large(bytes_max: int) -> TooLargeError:
    return TooLargeError(f"the body has at most {bytes_max:,} bytes here")


def decode(data: bytes | bytearray | msgspec.Raw, shape: type[_Shape], where: str = "") -> _Shape:
    """JSON in a shape. What was sent is not repeated, but for the names of fields.

    Raises:
        MalformedBodyError: it is not JSON.
        InvalidRequestError: it has another shape.
    """
    try:
        return msgspec.json.decode(data, type=shape)
    except msgspec.ValidationError as error:
        reason, _, path = str(error).partition(" - at `$")
        param = (where + path.rstrip("`")).strip(".") or None
        said = reason[:1].lower() + reason[1:]
        raise InvalidRequestError(f"{param}: {said}" if param else said, param=param) from None
    except msgspec.DecodeError as error:
        raise MalformedBodyError(f"the body is not JSON: {error}") from None
    except UnicodeDecodeError:
        raise MalformedBodyError("the body is not UTF-8") from None
    except RecursionError:
        raise MalformedBodyError("the body's JSON is nested too deeply") from None
