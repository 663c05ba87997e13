"""The progress of a batch as it happens, in server-sent events."""

from typing import Annotated, Any

from fastapi import APIRouter, Header, Request, Response
from starlette.concurrency import run_in_threadpool

from api.answers import answers
from api.deps import BatchId, Reader, WithServices
from api.streams import Streams, snapshots
from app.pipeline.accounts import admit
from app.reports.snapshots import Snapshot, Watch
from app.reports.views import BatchView

router = APIRouter(prefix="/v1/batches/{batch_id}", tags=["batches"])

#: One event, as OpenAPI 3.2 has them.
_EVENT = {
    "type": "object",
    "required": ["id", "event", "data"],
    "properties": {
        "id": {"type": "string", "description": "The version of the batch."},
        "event": {"const": "batch"},
        "data": {
            "type": "string",
            "contentMediaType": "application/json",
            "contentSchema": {"$ref": "#/components/schemas/BatchView"},
        },
        "retry": {"type": "integer", "description": "In ms; with the first event."},
    },
}
_TOLD: dict[str, Any] = answers(BatchView)
_TOLD["responses"][200]["content"] = {"text/event-stream": {"schema": _EVENT}}
_TOLD["responses"][204] = {"description": "It is closed, and Last-Event-ID names its last version"}


@router.get("/events", **_TOLD)
async def batch_events(
    request: Request,
    principal: Reader,
    services: WithServices,
    batch_id: BatchId,
    last_event_id: Annotated[str | None, Header(alias="Last-Event-ID")] = None,
) -> Response:
    """Snapshots of a batch: one at once, one whenever it has changed, and the last as it closes.

    To resume is to get a snapshot again: nothing that was missed matters beside it.
    """
    store, authorization = services.store, request.headers["authorization"]
    watch = Watch(store, principal.account_id, batch_id)

    def look() -> Snapshot | None:
        # Whose key was revoked meanwhile sees no more.
        admit(store, authorization)
        return watch.look()

    first = await run_in_threadpool(watch.look)
    assert first is not None  # noqa: S101 - there was no look before it
    if first.is_last and last_event_id == first.version:
        # An EventSource connects again and again until it is told this.
        return Response(status_code=204)
    streams: Streams = request.app.state.streams
    return streams.open(principal.account_id, snapshots(first, look))
