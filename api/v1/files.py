"""Input files: uploaded in a stream, kept, and read when a batch is submitted with them."""

from fastapi import APIRouter, Request, Response
from starlette.concurrency import run_in_threadpool

from api.answers import answer, answers
from api.deps import FileId, Reader, Submitter, WithServices
from api.forms import chunks_of, form_of, the_file
from api.views import FileView
from app.domain.errors import InvalidRequestError
from app.pipeline.upload import own_file, upload

router = APIRouter(prefix="/v1/files", tags=["files"])


@router.post("", **answers(FileView, 201))
async def upload_file(principal: Submitter, services: WithServices, request: Request) -> Response:
    """Upload an input file: a form with a field `file`: JSONL, CSV or Parquet."""
    async with form_of(request, "file", "retention") as form:
        if form.get("retention", "keep") != "keep":
            raise InvalidRequestError(
                "retention: only keep is possible; none is not supported yet", param="retention"
            )
        file = the_file(form)
        row = await run_in_threadpool(
            upload, services, principal.account_id, file.filename or "", chunks_of(file)
        )
    return answer(FileView.of(row), 201)


@router.get("/{file_id}", **answers(FileView))
def file(principal: Reader, services: WithServices, file_id: FileId) -> Response:
    """What is known of an input file."""
    return answer(FileView.of(own_file(services, principal.account_id, file_id)))
