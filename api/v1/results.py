"""What came of every job of a batch."""

from typing import Annotated, Literal

from fastapi import APIRouter, Response
from fastapi import Query as QueryParameters
from fastapi.responses import StreamingResponse
from pydantic import Field

from api.answers import answer, answers
from api.deps import BatchId, Reader, WithServices
from api.v1.queries import Query
from api.views import ResultPage
from app.domain.errors import InvalidRequestError
from app.reports.results import Selection, result_page, stream_results

router = APIRouter(prefix="/v1/batches/{batch_id}", tags=["results"])

POSITION_MAX = 2**31 - 1
PAGE_MAX = 1000
_MEDIA = {
    "jsonl": "application/jsonl",
    "csv": "text/csv; charset=utf-8",
    "parquet": "application/vnd.apache.parquet",
}


class ResultsQuery(Query):
    """Which results, and how: `after` is the position of the last job that was seen."""

    format: Literal["json", "jsonl", "csv", "parquet"] = "json"
    only: Literal["closed"] | None = None
    joined: bool = False
    limit: int = Field(default=100, ge=1, le=PAGE_MAX)
    after: int = Field(default=-1, ge=-1, le=POSITION_MAX)


_TOLD = answers(ResultPage)
_TOLD["responses"][200]["content"] |= {
    "application/jsonl": {"schema": {"type": "string", "description": "A ResultLine a line."}},
    "text/csv": {"schema": {"type": "string", "description": "A row for each completion."}},
    "application/vnd.apache.parquet": {"schema": {"type": "string", "format": "binary"}},
}


@router.get("/results", **_TOLD)
def results(
    principal: Reader,
    services: WithServices,
    batch_id: BatchId,
    query: Annotated[ResultsQuery, QueryParameters()],
) -> Response:
    """Results in job order: a page, or all of them as `jsonl`, `csv` or `parquet`."""
    selection = Selection(only_closed=query.only == "closed", joined=query.joined)
    if query.format != "json":
        if query.model_fields_set & {"limit", "after"}:
            raise InvalidRequestError(f"limit: {query.format} streams all results", param="limit")
        return StreamingResponse(
            stream_results(services.store, principal.account_id, batch_id, selection, query.format),
            media_type=_MEDIA[query.format],
            headers={"Content-Disposition": f'attachment; filename="{batch_id}.{query.format}"'},
        )
    with services.store.read() as session:
        page = result_page(
            session, principal.account_id, batch_id, query.after, query.limit, selection
        )
    return answer(ResultPage(*page))
