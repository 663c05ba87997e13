"""Input files: uploaded in a stream, kept, and read when a batch is submitted with them."""

from fastapi import APIRouter, Request, Response
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import FormData

from api.answers import answer, answers
from api.deps import FileId, Reader, Submitter, WithServices
from api.forms import chunks_of, form_of, the_file
from api.views import FileView
from app.domain.errors import InvalidRequestError
from app.domain.states import Retention
from app.pipeline.stored_files import own_file
from app.pipeline.upload import upload

router = APIRouter(prefix="/v1/files", tags=["files"])


@router.post("", **answers(FileView, 201))
async def upload_file(principal: Submitter, services: WithServices, request: Request) -> Response:
    """Upload an input file: a form with a field `file`: JSONL, CSV or Parquet."""
    async with form_of(request, "file", "retention") as form:
        retention, file = _retention_in(form), the_file(form)
        row = await run_in_threadpool(
            upload,
            services,
            principal.account_id,
            file.filename or "",
            chunks_of(file),
            retention=retention,
        )
    return answer(FileView.of(row), 201)


@router.get("/{file_id}", **answers(FileView))
def file(principal: Reader, services: WithServices, file_id: FileId) -> Response:
    """What is known of an input file."""
    return answer(FileView.of(own_file(services, principal.account_id, file_id)))


def _retention_in(form: FormData) -> str | None:
    given = form.getlist("retention")
    if not given:
        return None
    if len(given) > 1 or given[0] not in set(Retention):
        raise InvalidRequestError("retention: send keep or none, once", param="retention")
    return str(given[0])
