"""Operation, at the root: is it alive, is it ready."""

import msgspec
from fastapi import APIRouter, Response

from api.answers import answer, answers
from api.deps import WithServices
from app.pipeline.health import readiness

router = APIRouter(tags=["operation"])


class Health(msgspec.Struct, frozen=True):
    """The process answers."""

    ok: bool = True


class ReadyView(msgspec.Struct, frozen=True):
    """Whether requests can be served; `degraded` names what is missing and not needed for that."""

    ready: bool
    problem: str | None
    degraded: list[str]
    warnings: list[str]


@router.get("/healthz", **answers(Health))
async def healthz() -> Response:
    """Whether this process answers at all."""
    return answer(Health())


@router.get("/readyz", **answers(ReadyView, also=503))
def readyz(services: WithServices) -> Response:
    """Whether the store can be used; work goes on without the broker."""
    found = readiness(services)
    view = ReadyView(found.ready, found.problem, found.degraded, found.warnings)
    return answer(view, 200 if found.ready else 503)
