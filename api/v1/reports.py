"""The report of a batch: as data, as a table, or to be read."""

from collections.abc import Callable, Mapping
from typing import Annotated, Literal

from fastapi import APIRouter, Response
from fastapi import Query as QueryParameters
from fastapi.responses import HTMLResponse
from pydantic import StringConstraints

from api.answers import answer, answers
from api.deps import BatchId, Reader, WithServices, id_pattern
from api.v1.queries import Query
from app.domain.ids import Prefix
from app.pipeline.services import Services
from app.reports.against_views import AgainstView
from app.reports.against_written import against_as_csv, against_as_markdown, against_as_page
from app.reports.details import Details, details
from app.reports.leaderboard import gather, lay_out
from app.reports.leaderboard_csv import as_csv
from app.reports.markdown import as_markdown
from app.reports.page import POLICY, as_page
from app.reports.report_views import ReportView

router = APIRouter(prefix="/v1/batches/{batch_id}", tags=["results"])

_MEDIA = {"md": "text/markdown; charset=utf-8", "csv": "text/csv; charset=utf-8"}
_WRITERS: Mapping[str, Callable[[ReportView], str]] = {"md": as_markdown, "csv": as_csv}
_AGAINST_WRITERS: Mapping[str, Callable[[AgainstView], str]] = {
    "md": against_as_markdown,
    "csv": against_as_csv,
}


class ReportQuery(Query):
    """How the report is wanted: as data, for a pull request, a spreadsheet, or to be read."""

    format: Literal["json", "md", "csv", "html"] = "json"
    against: Annotated[str, StringConstraints(pattern=id_pattern(Prefix.BATCH))] | None = None


_TOLD = answers(ReportView)
_TOLD["responses"][200]["content"] |= {
    "application/json": {
        "schema": {
            "anyOf": [
                {"$ref": f"#/components/schemas/{view.__name__}"}
                for view in (ReportView, AgainstView)
            ]
        }
    },
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
    """The leaderboard, with costs, latencies and what to keep in mind.

    With `against`, what changed since that other batch, with paired tests.
    """
    if query.against is not None:
        return _against(services, principal.account_id, (batch_id, query.against), query.format)
    with services.store.read() as session:
        sums = gather(session, principal.account_id, batch_id)
        beside = details(session, sums.batch, sums.plan) if query.format == "html" else Details()
    view = lay_out(sums)
    if query.format == "json":
        return answer(view)
    if query.format == "html":
        return _page(as_page(view, beside))
    return Response(_WRITERS[query.format](view), media_type=_MEDIA[query.format])


def _against(services: Services, account_id: str, batches: tuple[str, str], form: str) -> Response:
    from app.reports.against import gather_both, lay_out_both  # noqa: PLC0415 - numpy

    with services.store.read() as session:
        sides = gather_both(session, account_id, *batches)
    view = lay_out_both(sides)
    if form == "json":
        return answer(view)
    if form == "html":
        return _page(against_as_page(view))
    return Response(_AGAINST_WRITERS[form](view), media_type=_MEDIA[form])


def _page(page: str) -> Response:
    return HTMLResponse(page, headers={"Content-Security-Policy": f"{POLICY}; sandbox"})
