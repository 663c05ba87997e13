"""Batches as OpenAI's clients create, list, look at and cancel them."""

from typing import Annotated, Any, Literal

import msgspec
from fastapi import APIRouter, Depends, Response
from fastapi import Query as QueryParameters
from pydantic import Field

from api.answers import answer
from api.body import SMALL_BYTES_MAX, Body, body_of, decode
from api.deps import BatchId, IdempotencyKey, Reader, Submitter, WithServices
from api.openai.shapes import BatchList, told, told_body
from api.v1.queries import Query
from app.domain.errors import InvalidRequestError
from app.pipeline import control
from app.pipeline.openai.create import NewBatch, create_batch
from app.pipeline.services import Services
from app.reports.openai_batches import BatchObject, batch_object, list_batch_objects

router = APIRouter(prefix="/openai/v1/batches", tags=["openai"])

PAGE_MAX = 100
_PAIRS_MAX, _KEY_CHARS_MAX, _VALUE_CHARS_MAX = 16, 64, 512
_Kept = Annotated[int, msgspec.Meta(ge=3600, le=2_592_000)]


class OutputExpiresAfter(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How long the output is kept, from its creation on."""

    anchor: Literal["created_at"]
    seconds: _Kept


class CreateBatch(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`openai.types.batch_create_params.BatchCreateParams`."""

    input_file_id: str
    endpoint: str
    completion_window: str
    metadata: dict[str, Any] | None = None
    output_expires_after: OutputExpiresAfter | None = None


class BatchesQuery(Query):
    """A page of batches: those created before the batch `after`."""

    after: str | None = None
    limit: int = Field(default=20, ge=1, le=PAGE_MAX)


@router.post("", **told_body("Batch"))
def openai_create_batch(
    principal: Submitter,
    services: WithServices,
    idempotency_key: IdempotencyKey,
    body: Annotated[Body, Depends(body_of(SMALL_BYTES_MAX))],
) -> Response:
    """Create a batch; one whose input is wrong has failed, and says in which lines."""
    asked = decode(body.data, CreateBatch)
    kept = asked.output_expires_after
    new = NewBatch(
        account_id=principal.account_id,
        input_file_id=asked.input_file_id,
        endpoint=asked.endpoint,
        completion_window=asked.completion_window,
        metadata=_checked(asked.metadata or {}),
        output_kept_s=None if kept is None else kept.seconds,
        idempotency_key=idempotency_key,
        body_sha256=body.sha256,
    )
    made = create_batch(services, new)
    return _shown(services, principal.account_id, made.batch_id)


def _checked(metadata: dict[str, Any]) -> dict[str, str]:
    """OpenAI's rules of metadata.

    Raises:
        InvalidRequestError: one is broken.
    """
    if len(metadata) > _PAIRS_MAX:
        raise InvalidRequestError(f"metadata: at most {_PAIRS_MAX} pairs", param="metadata")
    for name, value in metadata.items():
        if not 1 <= len(name) <= _KEY_CHARS_MAX:
            raise InvalidRequestError(
                f"metadata: a key has 1 to {_KEY_CHARS_MAX} characters", param="metadata"
            )
        param = f"metadata.{name}"
        if not isinstance(value, str) or len(value) > _VALUE_CHARS_MAX:
            raise InvalidRequestError(
                f"{param}: a value is a text of at most {_VALUE_CHARS_MAX} characters", param=param
            )
        if "\x00" in name + value:
            raise InvalidRequestError(f"{param}: text must not hold NUL characters", param=param)
    return metadata


@router.get("", **told(BatchList))
def openai_batches(
    principal: Reader, services: WithServices, query: Annotated[BatchesQuery, QueryParameters()]
) -> Response:
    """List the batches that were created here, newest first."""
    with services.store.read() as session:
        page, has_more = list_batch_objects(session, principal.account_id, query.after, query.limit)
    return answer(BatchList.of(page, has_more=has_more))


@router.get("/{batch_id}", **told(BatchObject))
def openai_batch(principal: Reader, services: WithServices, batch_id: BatchId) -> Response:
    """One batch as it is now."""
    return _shown(services, principal.account_id, batch_id)


@router.post("/{batch_id}/cancel", **told(BatchObject))
def openai_cancel_batch(
    principal: Submitter, services: WithServices, batch_id: BatchId
) -> Response:
    """Stop what has not started."""
    with services.store.read() as session:
        batch_object(session, principal.account_id, batch_id)
    control.cancel(services, principal.account_id, batch_id)
    return _shown(services, principal.account_id, batch_id)


def _shown(services: Services, account_id: str, batch_id: str) -> Response:
    with services.store.read() as session:
        return answer(batch_object(session, account_id, batch_id))
