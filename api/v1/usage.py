"""Usage: what the account's calls came to."""

from datetime import date, timedelta
from typing import Annotated, get_args

from fastapi import APIRouter, Query, Response
from pydantic import Field

from api.answers import answer, answers
from api.deps import Reader, WithServices
from api.v1.queries import Query as QueryModel
from app.domain.clock import utc_now
from app.domain.errors import InvalidRequestError
from app.reports.usage import Dimension, UsageFilter, UsageReport, usage_report

router = APIRouter(prefix="/v1/usage", tags=["money"])

_DAYS = 30
_DAYS_MAX = 400
_DIMENSIONS: tuple[Dimension, ...] = get_args(Dimension)


class UsageQuery(QueryModel):
    """Days in UTC, both of them in it; by default the last thirty."""

    start: date | None = Field(default=None, alias="from")
    end: date | None = Field(default=None, alias="to")
    group_by: str = Field(
        default="provider,model,billed", description=f"Some of {', '.join(_DIMENSIONS)}."
    )
    provider: str | None = None
    model: str | None = None
    mode: str | None = None
    billed: str | None = None


@router.get("", **answers(UsageReport))
def usage(
    principal: Reader, services: WithServices, query: Annotated[UsageQuery, Query()]
) -> Response:
    """What the account's calls came to: counts, errors, tokens, latencies and cost."""
    end = query.end or utc_now().date()
    start = query.start or end - timedelta(days=_DAYS - 1)
    if start > end:
        raise InvalidRequestError("from: is after to", param="from")
    if (end - start).days >= _DAYS_MAX:
        raise InvalidRequestError(f"from: at most {_DAYS_MAX} days are shown", param="from")
    wanted = UsageFilter(query.provider, query.model, query.mode, query.billed)
    dimensions = _dimensions(query.group_by)
    with services.store.read() as session:
        found = usage_report(session, principal.account_id, start, end, dimensions, wanted)
    return answer(found)


def _dimensions(text: str) -> list[Dimension]:
    named = {name: name for name in _DIMENSIONS}
    found: list[Dimension] = []
    for word in filter(None, (one.strip() for one in text.split(","))):
        if word not in named:
            raise InvalidRequestError(
                f"group_by: {word[:32]!r} is none of {', '.join(_DIMENSIONS)}", param="group_by"
            )
        found.append(named[word])
    return found
