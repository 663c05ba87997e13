"""Forms with one file, read in a stream and under a limit."""

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from tempfile import SpooledTemporaryFile
from typing import IO, BinaryIO, Protocol, cast

from fastapi import Request
from starlette.datastructures import FormData, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from typing_extensions import override

from api.body import limited_stream
from api.errors import MalformedBodyError
from app.domain.errors import InvalidRequestError, TooLargeError
from app.files import CHUNK_BYTES
from app.pipeline import upload
from app.vault.spool import SealedSpool

#: What a form adds to its file.
_FORM_BYTES_MAX = 64 * 1024
_FIELD_BYTES_MAX = 1024
#: The parser writes each piece of a file in another thread, which takes as long as 64 KiB do.
_AT_ONCE_BYTES = 512 * 1024
_FIELDS_MAX = 8


class Received(Protocol):
    """What takes the bytes of a file, as far as the parser of forms asks for it."""

    def write(self, data: bytes, /) -> int:
        """Take the next bytes."""

    def seek(self, offset: int, /) -> int:
        """Go to the beginning, once all are there."""

    def close(self) -> None:
        """Let go of what is not needed any more."""


class _Parser(MultiPartParser):
    def __init__(
        self, request: Request, fields: Sequence[str], receive: Callable[[str], Received]
    ) -> None:
        if not request.headers.get("content-type", "").lower().startswith("multipart/form-data"):
            raise InvalidRequestError("send a form (multipart/form-data) with a field named file")
        super().__init__(
            request.headers,
            _stream_of(request),
            max_files=1,
            max_fields=_FIELDS_MAX,
            max_part_size=_FIELD_BYTES_MAX,
        )
        self._fields = fields
        self._receive = receive

    @override
    def on_headers_finished(self) -> None:
        super().on_headers_finished()
        part = self._current_part
        if part.file is not None:
            part.file.file.close()
            file = self._receive(part.file.filename or "")
            part.file.file = cast("BinaryIO", file)
            self._files_to_close_on_error.append(cast("SpooledTemporaryFile[bytes]", file))

    @override
    async def parse(self) -> FormData:
        """Read all of it; whoever asks closes it.

        Raises:
            InvalidRequestError: it is no such form, or has a field of another name.
            TooLargeError: it is over the limit.
        """
        try:
            form = await super().parse()
        except MultiPartException as error:
            raise MalformedBodyError(f"the form cannot be read: {error.message}") from None
        for name, _ in form.multi_items():
            if name not in self._fields:
                await form.close()
                raise InvalidRequestError(f"{name}: is not a field here", param=name)
        return form


def _spooled(_filename: str) -> SealedSpool:
    """A file that waits for the form's end, sealed on the disk: its fields may say how to keep it."""
    return SealedSpool()


@asynccontextmanager
async def form_of(
    request: Request, *fields: str, receive: Callable[[str], Received] = _spooled
) -> AsyncIterator[FormData]:
    """The form of a request; its file is closed when the block ends.

    Args:
        request: what holds it.
        fields: the names it may have.
        receive: what takes the bytes of its file, given what that is called.

    Raises:
        InvalidRequestError: it is no such form, or has a field of another name.
        TooLargeError: it is over the limit.
    """
    parser = _Parser(request, fields, receive)
    form = await parser.parse()
    try:
        yield form
    finally:
        await form.close()


async def _stream_of(request: Request) -> AsyncGenerator[bytes, None]:
    bytes_max = upload.FILE_BYTES_MAX
    parts, size = list[bytes](), 0
    try:
        async for chunk in limited_stream(request, bytes_max + _FORM_BYTES_MAX):
            parts.append(chunk)
            size += len(chunk)
            if size >= _AT_ONCE_BYTES:
                yield b"".join(parts)
                parts, size = [], 0
        yield b"".join(parts)
    except TooLargeError:
        raise TooLargeError(f"a file has at most {bytes_max:,} bytes", param="file") from None


def the_file(form: FormData) -> UploadFile:
    """The one file of a form.

    Raises:
        InvalidRequestError: there is none, or more than one.
    """
    found = form.getlist("file")
    if len(found) != 1 or not isinstance(found[0], UploadFile):
        raise InvalidRequestError("file: send one file, with its name", param="file")
    return found[0]


def chunks_of(file: UploadFile) -> Iterator[bytes]:
    """A file's bytes, a chunk at a time."""
    spool = cast("IO[bytes]", file.file)
    while chunk := spool.read(CHUNK_BYTES):
        yield chunk
