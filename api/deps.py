"""What routes depend on: services, whose request it is, and ids that can be ids."""

import re
from typing import Annotated

from fastapi import Depends, Header, Path, Request, Security
from fastapi.openapi.models import HTTPBearer
from fastapi.security.base import SecurityBase

from api.admission import Admission
from app.accounts.api_keys import Principal, Scope
from app.domain.errors import InvalidRequestError, NotFoundError
from app.domain.ids import ALPHABET, ID_CHARS, PLACE_CHARS, Prefix
from app.pipeline.services import Services
from app.pipeline.submit import IDEMPOTENCY_KEY_CHARS_MAX
from app.providers.senders import SenderSet

_ID_SHOWN_CHARS = 64
_IDEMPOTENCY_KEY = re.compile(rf"[\x20-\x7e]{{1,{IDEMPOTENCY_KEY_CHARS_MAX}}}", re.ASCII)


# Coroutines where there is nothing to wait for: FastAPI runs functions in threads.
async def services_of(request: Request) -> Services:
    """The services of this process."""
    services: Services = request.app.state.services
    return services


async def senders_of(request: Request) -> SenderSet:
    """What carries requests to providers."""
    senders: SenderSet = request.app.state.senders
    return senders


class Authenticated(SecurityBase):
    """Lets in whoever has an API key with a scope; everybody else is told the same."""

    def __init__(self, scope: Scope) -> None:
        self.scope = scope
        self.scheme_name = "apiKey"
        self.model = HTTPBearer(description="An API key of ours: `ovn_…`")

    async def __call__(self, request: Request) -> Principal:
        """Whose request this is.

        Raises:
            UnauthorizedError: there is no valid key in it, or more than one.
            ForbiddenError: the key does not have the scope.
            RateLimitedError: it is one too many.
        """
        admission: Admission = request.app.state.admission
        principal = await admission.admit(request)
        principal.require(self.scope)
        return principal


def id_pattern(prefix: Prefix) -> str:
    """What an id looks like."""
    chars = ID_CHARS + PLACE_CHARS if prefix is Prefix.JOB else ID_CHARS
    return rf"^{prefix.value}_[{ALPHABET}]{{{chars}}}$"


def checked_id(prefix: Prefix, what: str, given: str) -> str:
    """An id, or the answer that one which is none gets: the store is not asked for it."""
    if not re.fullmatch(id_pattern(prefix), given):
        raise NotFoundError(f"there is no {what} {given[:_ID_SHOWN_CHARS]!r}")
    return given


async def _batch_id(batch_id: Annotated[str, Path()]) -> str:
    return checked_id(Prefix.BATCH, "batch", batch_id)


async def _job_id(job_id: Annotated[str, Path()]) -> str:
    return checked_id(Prefix.JOB, "job", job_id)


async def _file_id(file_id: Annotated[str, Path()]) -> str:
    return checked_id(Prefix.FILE, "file", file_id)


async def _api_key_id(api_key_id: Annotated[str, Path()]) -> str:
    return checked_id(Prefix.API_KEY, "API key", api_key_id)


async def _endpoint_id(endpoint_id: Annotated[str, Path()]) -> str:
    return checked_id(Prefix.ENDPOINT, "webhook endpoint", endpoint_id)


async def _delivery_id(delivery_id: Annotated[str, Path()]) -> str:
    return checked_id(Prefix.DELIVERY, "delivery", delivery_id)


async def _idempotency_key(
    request: Request,
    idempotency_key: Annotated[
        str | None,
        Header(
            alias="Idempotency-Key",
            description="The same key with the same body makes one batch, for seven days.",
        ),
    ] = None,
) -> str | None:
    given = request.headers.getlist("idempotency-key")
    if not given:
        return None
    if len(given) > 1 or not _IDEMPOTENCY_KEY.fullmatch(given[0]):
        raise InvalidRequestError(
            f"Idempotency-Key: one header of 1 to {IDEMPOTENCY_KEY_CHARS_MAX} printable ASCII "
            "characters",
            param="Idempotency-Key",
        )
    return idempotency_key


BatchId = Annotated[str, Depends(_batch_id)]
JobId = Annotated[str, Depends(_job_id)]
FileId = Annotated[str, Depends(_file_id)]
ApiKeyId = Annotated[str, Depends(_api_key_id)]
EndpointId = Annotated[str, Depends(_endpoint_id)]
DeliveryId = Annotated[str, Depends(_delivery_id)]
IdempotencyKey = Annotated[str | None, Depends(_idempotency_key)]
WithServices = Annotated[Services, Depends(services_of)]
WithSenders = Annotated[SenderSet, Depends(senders_of)]
# Each scope twice: for the door, and for its description.
Reader = Annotated[Principal, Security(Authenticated(Scope.READ), scopes=[Scope.READ.value])]
Submitter = Annotated[Principal, Security(Authenticated(Scope.SUBMIT), scopes=[Scope.SUBMIT.value])]
Admin = Annotated[Principal, Security(Authenticated(Scope.ADMIN), scopes=[Scope.ADMIN.value])]
