"""The report of a batch: as data, as a table, or to be read."""

from collections.abc import Callable, Mapping
from typing import Annotated, Literal

from fastapi import APIRouter, Response
from fastapi import Query as QueryParameters
from fastapi.responses import HTMLResponse

from api.answers import answer, answers
from api.deps import BatchId, Reader, WithServices
from api.v1.queries import Query
from app.reports.details import Details, details
from app.reports.leaderboard import gather, lay_out
from app.reports.leaderboard_csv import as_csv
from app.reports.markdown import as_markdown
from app.reports.page import POLICY, as_page
from app.reports.report_views import ReportView

router = APIRouter(prefix="/v1/batches/{batch_id}", tags=["results"])

_MEDIA = {"md": "text/markdown; charset=utf-8", "csv": "text/csv; charset=utf-8"}
_WRITERS: Mapping[str, Callable[[ReportView], str]] = {"md": as_markdown, "csv": as_csv}


class ReportQuery(Query):
    """How the report is wanted: as data, for a pull request, a spreadsheet, or to be read."""

    format: Literal["json", "md", "csv", "html"] = "json"


_TOLD = answers(ReportView)
_TOLD["responses"][200]["content"] |= {
    "text/markdown": {"schema": {"type": "string", "description": "For a pull request."}},
    "text/html": {"schema": {"type": "string", "description": "A page that needs nothing else."}},
    "text/csv": {"schema": {"type": "string", "description": "A row for each contestant."}},
}


@router.get("/report", **_TOLD)
def batch_report(
    principal: Reader,
    services: WithServices,
    batch_id: BatchId,
    query: Annotated[ReportQuery, QueryParameters()],
) -> Response:
    """The leaderboard, with costs, latencies and what to keep in mind."""
    with services.store.read() as session:
        sums = gather(session, principal.account_id, batch_id)
        beside = details(session, sums.batch, sums.plan) if query.format == "html" else Details()
    view = lay_out(sums)
    if query.format == "json":
        return answer(view)
    if query.format == "html":
        headers = {"Content-Security-Policy": f"{POLICY}; sandbox"}
        return HTMLResponse(as_page(view, beside), headers=headers)
    return Response(_WRITERS[query.format](view), media_type=_MEDIA[query.format])
