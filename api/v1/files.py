"""Input files: uploaded in a stream, kept, and read when a batch is submitted with them."""

from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import asynccontextmanager
from tempfile import SpooledTemporaryFile
from typing import IO, BinaryIO, cast

from fastapi import APIRouter, Request, Response
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import FormData, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from typing_extensions import override

from api.answers import answer, answers
from api.body import limited_stream
from api.deps import FileId, Reader, Submitter, WithServices
from api.errors import MalformedBodyError
from api.views import FileView
from app.domain.errors import InvalidRequestError, TooLargeError
from app.domain.states import Retention
from app.files import CHUNK_BYTES
from app.pipeline.upload import FILE_BYTES_MAX, own_file, upload
from app.vault.spool import SealedSpool

router = APIRouter(prefix="/v1/files", tags=["files"])

#: What a form adds to its file.
_FORM_BYTES_MAX = 64 * 1024
_FIELD_BYTES_MAX = 1024
_FIELDS_MAX = 8
_FIELDS = frozenset({"file", "retention"})


@router.post("", **answers(FileView, 201))
async def upload_file(principal: Submitter, services: WithServices, request: Request) -> Response:
    """Upload an input file: a form with a field `file`: JSONL, CSV or Parquet."""
    async with _form_of(request) as form:
        retention, file = _retention_in(form), _file_in(form)
        row = await run_in_threadpool(
            upload,
            services,
            principal.account_id,
            file.filename or "",
            _chunks(file),
            retention,
        )
    return answer(FileView.of(row), 201)


@router.get("/{file_id}", **answers(FileView))
def file(principal: Reader, services: WithServices, file_id: FileId) -> Response:
    """What is known of an input file."""
    return answer(FileView.of(own_file(services, principal.account_id, file_id)))


class _Parser(MultiPartParser):
    """Parses a form whose file does not touch the disk in plain: it may be one to retain nothing."""

    @override
    def on_headers_finished(self) -> None:
        super().on_headers_finished()
        upload = self._current_part.file
        if upload is not None:
            upload.file.close()
            upload.file = cast("BinaryIO", SealedSpool())
            self._files_to_close_on_error.append(cast("SpooledTemporaryFile[bytes]", upload.file))


@asynccontextmanager
async def _form_of(request: Request) -> AsyncIterator[FormData]:
    """The form of a request, its file in a sealed spool on the disk until the block ends.

    Raises:
        InvalidRequestError: it is no such form.
        TooLargeError: it is over the limit.
    """
    if not request.headers.get("content-type", "").lower().startswith("multipart/form-data"):
        raise InvalidRequestError("send a form (multipart/form-data) with a field named file")
    parser = _Parser(
        request.headers,
        _stream_of(request),
        max_files=1,
        max_fields=_FIELDS_MAX,
        max_part_size=_FIELD_BYTES_MAX,
    )
    try:
        form = await parser.parse()
    except MultiPartException as error:
        raise MalformedBodyError(f"the form cannot be read: {error.message}") from None
    try:
        yield form
    finally:
        await form.close()


async def _stream_of(request: Request) -> AsyncGenerator[bytes, None]:
    try:
        async for chunk in limited_stream(request, FILE_BYTES_MAX + _FORM_BYTES_MAX):
            yield chunk
    except TooLargeError:
        raise TooLargeError(f"a file has at most {FILE_BYTES_MAX:,} bytes", param="file") from None


def _file_in(form: FormData) -> UploadFile:
    for name in form:
        if name not in _FIELDS:
            raise InvalidRequestError(f"{name}: is not a field here", param=name)
    found = form.getlist("file")
    if len(found) != 1 or not isinstance(found[0], UploadFile):
        raise InvalidRequestError("file: send one file, with its name", param="file")
    return found[0]


def _retention_in(form: FormData) -> str | None:
    given = form.getlist("retention")
    if not given:
        return None
    if len(given) > 1 or given[0] not in set(Retention):
        raise InvalidRequestError("retention: send keep or none, once", param="retention")
    return str(given[0])


def _chunks(file: UploadFile) -> Iterator[bytes]:
    spool = cast("IO[bytes]", file.file)
    while chunk := spool.read(CHUNK_BYTES):
        yield chunk
