"""Files as OpenAI's clients upload, list, read and delete them."""

from datetime import timedelta
from functools import partial
from typing import Annotated, Literal, cast

from fastapi import APIRouter, Request, Response
from fastapi import Query as QueryParameters
from fastapi.responses import StreamingResponse
from pydantic import Field
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import FormData

from api.answers import answer
from api.deps import FileId, Reader, Submitter, WithServices
from api.forms import form_of, the_file
from api.openai.shapes import DeletedFile, FileList, FileObject, told
from api.v1.queries import Query
from app.domain.errors import InvalidRequestError
from app.pipeline.stored_files import content_of, delete_file, own_file
from app.pipeline.upload import Upload
from app.reports.files import FilePage, list_files

router = APIRouter(prefix="/openai/v1/files", tags=["openai"])

#: How long OpenAI keeps what is uploaded for a batch, and what it takes as another span
#: (openai-python 3.54.0, `file_create_params`).
_KEPT = timedelta(days=30)
_KEPT_MIN_S, _KEPT_MAX_S = 3600, 2_592_000
_ANCHOR, _SECONDS = "expires_after[anchor]", "expires_after[seconds]"
_PURPOSES = ("batch",)
FILES_MAX = 10_000


class FilesQuery(Query):
    """A page of files: those after the file `after`, in the order of their creation."""

    after: str | None = None
    limit: int = Field(default=FILES_MAX, ge=1, le=FILES_MAX)
    order: Literal["asc", "desc"] = "desc"
    purpose: str | None = None


@router.post("", **told(FileObject))
async def openai_create_file(
    principal: Submitter, services: WithServices, request: Request
) -> Response:
    """Upload a file for a batch: a form with `file` and `purpose`."""
    receive = partial(Upload, services, principal.account_id)
    async with form_of(request, "file", "purpose", _ANCHOR, _SECONDS, receive=receive) as form:
        if form.get("purpose") not in _PURPOSES:
            raise InvalidRequestError("purpose: only batch is taken here", param="purpose")
        kept_for, coming = _kept_for(form), cast("Upload", the_file(form).file)
        row = await run_in_threadpool(coming.finish, kept_for)
    return answer(FileObject.of(row))


def _kept_for(form: FormData) -> timedelta:
    given, seconds = form.get(_ANCHOR), form.get(_SECONDS)
    if given is None and seconds is None:
        return _KEPT
    if given != "created_at":
        raise InvalidRequestError("expires_after.anchor: only created_at is taken", param=_ANCHOR)
    if not (isinstance(seconds, str) and seconds.isascii() and seconds.isdigit()):
        raise InvalidRequestError("expires_after.seconds: give a whole number", param=_SECONDS)
    if len(seconds) > len(str(_KEPT_MAX_S)) or not _KEPT_MIN_S <= int(seconds) <= _KEPT_MAX_S:
        raise InvalidRequestError(
            f"expires_after.seconds: {_KEPT_MIN_S:,} to {_KEPT_MAX_S:,}", param=_SECONDS
        )
    return timedelta(seconds=int(seconds))


@router.get("", **told(FileList))
def openai_files(
    principal: Reader, services: WithServices, query: Annotated[FilesQuery, QueryParameters()]
) -> Response:
    """List files."""
    page = FilePage(query.after, query.limit, query.order == "desc", query.purpose)
    with services.store.read() as session:
        rows, has_more = list_files(session, principal.account_id, page)
    return answer(FileList.of([FileObject.of(row) for row in rows], has_more=has_more))


@router.get("/{file_id}", **told(FileObject))
def openai_file(principal: Reader, services: WithServices, file_id: FileId) -> Response:
    """What is known of a file."""
    return answer(FileObject.of(own_file(services, principal.account_id, file_id)))


@router.get("/{file_id}/content", **told(None))
def openai_file_content(principal: Reader, services: WithServices, file_id: FileId) -> Response:
    """A file's bytes, as they were uploaded or written."""
    row, chunks = content_of(services, principal.account_id, file_id)
    return StreamingResponse(
        chunks,
        media_type="application/octet-stream",
        headers={
            "Content-Length": str(row.bytes),
            "Content-Disposition": f'attachment; filename="{file_id}.jsonl"',
        },
    )


@router.delete("/{file_id}", **told(DeletedFile))
def openai_delete_file(principal: Submitter, services: WithServices, file_id: FileId) -> Response:
    """Delete a file. Batches that were made of it go on."""
    delete_file(services, principal.account_id, file_id)
    return answer(DeletedFile(file_id))
