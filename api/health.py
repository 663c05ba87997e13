"""Operation, at the root: is it alive, is it ready."""

import msgspec
from fastapi import APIRouter, Response

from api.answers import answer, answers
from api.deps import WithServices
from app.pipeline.health import readiness
from app.pipeline.services import Services
from app.reports.operation import operation

router = APIRouter(tags=["operation"])

#: A reconciler that was heard of, and not for this long, has most likely ended.
RECONCILER_LATE_S = 60.0


class Health(msgspec.Struct, frozen=True):
    """The process answers."""

    ok: bool = True


class VitalsView(msgspec.Struct, frozen=True):
    """How the whole installation is. `/metrics` says more, lane by lane.

    `reconciler_age_s` is since `reconcile` last came to its end, null if it never did;
    `writer_lag_s` the longest that an answer has waited to be written; `calls_due` counts those
    of batches of which something could be sent now.
    """

    reconciler_age_s: float | None
    workers: int
    workers_late: int
    workers_lost: int
    writer_lag_s: float
    jobs_queued: int
    calls_queued: int
    calls_due: int
    calls_in_flight: int
    lanes_parked: int


class ReadyView(msgspec.Struct, frozen=True):
    """Whether requests can be served; `degraded` names what is missing and not needed for that."""

    ready: bool
    problem: str | None
    degraded: list[str]
    warnings: list[str]
    vitals: VitalsView | None = None


@router.get("/healthz", **answers(Health))
async def healthz() -> Response:
    """Whether this process answers at all."""
    return answer(Health())


@router.get("/readyz", **answers(ReadyView, also=503))
def readyz(services: WithServices) -> Response:
    """Whether the store can be used; work goes on without the broker."""
    found = readiness(services)
    vitals = _vitals(services) if found.ready else None
    view = ReadyView(found.ready, found.problem, found.degraded, found.warnings, vitals)
    if vitals is not None and (vitals.reconciler_age_s or 0.0) > RECONCILER_LATE_S:
        view.degraded.append("reconciler")
    return answer(view, 200 if found.ready else 503)


def _vitals(services: Services) -> VitalsView:
    seen = operation(services.store, services.settings.broker_url, with_lanes=False)
    told = {name: getattr(seen, name) for name in VitalsView.__struct_fields__}
    return VitalsView(**told)
