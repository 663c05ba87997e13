"""`/metrics`, as Prometheus reads it: the whole installation's, so any API process may answer."""

from collections.abc import Iterator

from fastapi import APIRouter, Response
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector
from typing_extensions import override

from api.deps import WithServices
from app.reports.operation import LaneLife, Operation, operation

router = APIRouter(tags=["operation"])

_NEVER = float("inf")
_LANE = ("lane", "provider")


@router.get(
    "/metrics",
    response_class=Response,
    responses={
        200: {"description": "Done", "content": {"text/plain": {"schema": {"type": "string"}}}}
    },
)
def metrics(services: WithServices) -> Response:
    """The state of the whole installation, for Prometheus."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Snapshot(operation(services.store, services.settings.broker_url)))
    return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)


class _Snapshot(Collector):
    """What was seen once, as metrics: nothing is counted in this process."""

    def __init__(self, seen: Operation) -> None:
        self._seen = seen

    @override
    def collect(self) -> Iterator[Metric]:
        """Every metric there is."""
        seen = self._seen
        age_s = _NEVER if seen.reconciler_age_s is None else seen.reconciler_age_s
        yield _gauge(
            "reconciler_last_success_age_seconds", "Since reconcile last came to its end.", age_s
        )
        yield CounterMetricFamily(
            "overnight_reconciler_successes", "How often it did.", value=seen.reconciled
        )
        yield _by(
            "workers", "Worker processes.", "state", alive=seen.workers, late=seen.workers_late
        )
        yield CounterMetricFamily(
            "overnight_workers_lost", "Worker processes whose calls were given back.",
            value=seen.workers_lost,
        )  # fmt: skip
        yield _gauge(
            "writer_lag_seconds", "How long an answer waits to be written.", seen.writer_lag_s
        )
        yield _by("batches", "Open batches.", "state", **seen.batches)
        yield _by(
            "queue_depth", "What waits, due or not.", "kind",
            jobs=seen.jobs_queued, calls=seen.calls_queued,
        )  # fmt: skip
        yield _gauge("calls_due", "Calls of batches that could be sent now.", seen.calls_due)
        yield _gauge("calls_in_flight", "Calls that a worker holds.", seen.calls_in_flight)
        yield _gauge("broker_up", "Whether the broker answers.", int(seen.broker_up))
        yield _gauge("lanes_not_listed", "Lanes beyond those told of below.", seen.lanes_more)
        yield from _lanes(seen.lanes)


def _gauge(name: str, what: str, value: float) -> Metric:
    return GaugeMetricFamily(f"overnight_{name}", what, value=value)


def _by(name: str, what: str, label: str, **values: int) -> Metric:
    family = GaugeMetricFamily(f"overnight_{name}", what, labels=[label])
    for key, value in values.items():
        family.add_metric([key], value)
    return family


def _lanes(lanes: list[LaneLife]) -> Iterator[Metric]:
    parked = GaugeMetricFamily(
        "overnight_lane_parked", "1 while it is parked.", labels=[*_LANE, "reason"]
    )
    for lane in lanes:
        if lane.parked_for is not None:
            parked.add_metric([lane.id, lane.provider, lane.parked_for], 1)
    yield parked
    for name, what in (
        ("answers_per_minute", "Answers in the last minute."),
        ("paused_seconds", "How long it sends nothing yet."),
        ("limit_rpm", "Requests a minute by what its provider told or refused."),
        ("limit_tpm", "Tokens a minute by what its provider told."),
        ("limit_in_flight", "Calls in flight by what its provider refused."),
    ):
        family = GaugeMetricFamily(f"overnight_lane_{name}", what, labels=_LANE)
        for lane in lanes:
            value = getattr(lane.vitals, _FIELD.get(name, name))
            if value is not None:
                family.add_metric([lane.id, lane.provider], value)
        yield family


_FIELD = {
    "paused_seconds": "paused_s",
    "limit_rpm": "rpm",
    "limit_tpm": "tpm",
    "limit_in_flight": "in_flight",
}
