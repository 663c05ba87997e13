"""What came of every job of a batch."""

import hashlib
from importlib.metadata import version
from typing import Annotated, Literal

from fastapi import APIRouter, Header, Response
from fastapi import Query as QueryParameters
from fastapi.responses import StreamingResponse
from pydantic import Field

from api.answers import answer, answers, attachment
from api.deps import BatchId, Reader, WithServices
from api.v1.queries import Query
from api.views import ResultPage
from app.domain.errors import InvalidRequestError
from app.domain.ids import PLACES_MAX
from app.pipeline.services import Services
from app.reports.results import Selection, result_page, stream_results
from app.reports.snapshots import Snapshot, snapshot_of

router = APIRouter(prefix="/v1/batches/{batch_id}", tags=["results"])

POSITION_MAX = PLACES_MAX - 2  # what comes after it has a place, too
PAGE_MAX = 1000
VERSION = version("overnight")
_TAG_CHARS = 32
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
_TOLD["responses"][304] = {"description": "The client has these already, by If-None-Match"}
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
    if_none_match: Annotated[str | None, Header(alias="If-None-Match")] = None,
) -> Response:
    """Results in job order: a page, or all of them as `jsonl`, `csv` or `parquet`.

    All of them are of the moment they were asked for, though the batch goes on meanwhile; a job
    that was not closed then is listed without completions. Their `ETag` is a strong one once the
    batch is closed: the same bytes come every time.
    """
    selection = Selection(only_closed=query.only == "closed", joined=query.joined)
    if query.format != "json":
        if query.model_fields_set & {"limit", "after"}:
            raise InvalidRequestError(f"limit: {query.format} streams all results", param="limit")
        return _whole(services, (principal.account_id, batch_id), query, selection, if_none_match)
    with services.store.read() as session:
        page = result_page(
            session, principal.account_id, batch_id, query.after, query.limit, selection
        )
    return answer(ResultPage(*page))


def _whole(
    services: Services,
    whose: tuple[str, str],
    query: ResultsQuery,
    selection: Selection,
    if_none_match: str | None,
) -> Response:
    # The version first: what is read after it may be newer than it says, and never older.
    with services.store.read() as session:
        snapshot = snapshot_of(session, *whose)
    tag = _tag(snapshot, query)
    if if_none_match is not None and _is_among(tag, if_none_match):
        return Response(status_code=304, headers={"ETag": tag})
    form = query.format
    assert form != "json"  # noqa: S101 - the caller's own condition
    return StreamingResponse(
        stream_results(services.store, *whose, selection, form),
        media_type=_MEDIA[form],
        headers={"ETag": tag, **attachment(snapshot.view.name, whose[1], f".{form}")},
    )


def _tag(snapshot: Snapshot, query: ResultsQuery) -> str:
    """What the bytes are known again by; another version of ours may write them otherwise."""
    parts = (VERSION, snapshot.version, query.format, str(query.only), str(query.joined))
    digest = hashlib.sha256("\n".join(parts).encode()).hexdigest()[:_TAG_CHARS]
    # What a retry is joined with may lose its text of its own accord.
    is_strong = snapshot.is_last and not query.joined
    return f'"{digest}"' if is_strong else f'W/"{digest}"'


def _is_among(tag: str, given: str) -> bool:
    """Whether a client has it (RFC 9110, 13.1.2: compared weakly)."""
    named = {one.strip().removeprefix("W/") for one in given.split(",")}
    return tag.removeprefix("W/") in named
