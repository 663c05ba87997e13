"""attempt: one POST to an endpoint, and what came of it. Nothing is stored here."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from app.domain.errors import AddressRefusedError, AppError, ProviderError
from app.domain.redact import redact
from app.domain.secret import Secret
from app.domain.wire import Request, Response, Sender
from app.models import Account, Endpoint
from app.net import GuardedSender
from app.pipeline.own_address import is_own
from app.providers.base import parse_retry_after
from app.settings import Settings
from app.vault.master import Vault
from app.vault.webhook_secrets import open_webhook_secret
from app.webhooks.signing import PREFIX, signed_headers

#: All of one attempt, from the lookup to the last byte of the answer.
ATTEMPT_TIMEOUT_S = 15.0
RESPONSE_BYTES_MAX = 64 * 1024
RESPONSE_HEAD_CHARS = 1024
ERROR_CHARS_MAX = 300
#: Answers whose Retry-After is honoured.
_THROTTLES = (429, 503)


@dataclass(frozen=True, slots=True)
class Message:
    """What is sent to whom, and signed with what."""

    event_id: str
    body: str
    url: str
    moment: datetime
    secrets: Sequence[Secret] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of one attempt."""

    status_code: int | None = None
    error: str | None = None
    retry_after_s: float | None = None
    head: str | None = None

    @property
    def is_taken(self) -> bool:
        """Whether the endpoint has taken the event."""
        return self.status_code is not None and 200 <= self.status_code < 300  # noqa: PLR2004 - 2xx


def guarded_sender(settings: Settings) -> GuardedSender:
    """The sender for webhooks: no private address, no redirect, no proxy, a capped answer."""
    return GuardedSender(settings.trusted_hosts, response_bytes_max=RESPONSE_BYTES_MAX)


def secrets_of(vault: Vault, account: Account, endpoint: Endpoint, now: datetime) -> list[Secret]:
    """What signs for an endpoint: its secret or the account's, and the one before it for a day.

    Raises:
        SealError: one of them does not open.
    """
    if endpoint.secret_sealed is None:
        return [open_webhook_secret(vault, account, account.id, account.webhook_secret_sealed)]
    found = [open_webhook_secret(vault, account, endpoint.id, endpoint.secret_sealed)]
    until = endpoint.old_secret_until
    if endpoint.old_secret_sealed is not None and until is not None and until > now:
        found.append(open_webhook_secret(vault, account, endpoint.id, endpoint.old_secret_sealed))
    return found


async def post(settings: Settings, message: Message, sender: Sender) -> Answer:
    """Send it once. Never raises: what keeps an answer away is in the answer."""
    headers = {
        "content-type": "application/json",
        "user-agent": "Overnight",
        **signed_headers(message.secrets, message.event_id, message.moment, message.body),
    }
    request = Request("POST", message.url, headers, message.body.encode())
    try:
        if is_own(settings, message.url):
            raise AddressRefusedError("the URL is this API's own")
        response = await sender.send(request, ATTEMPT_TIMEOUT_S)
    except AppError as error:
        return failure(error)
    return _answer(response, message.secrets)


def failure(error: AppError) -> Answer:
    """What an error amounts to; an answer that was too long to read was still an answer."""
    status_code = error.status_code if isinstance(error, ProviderError) else None
    return Answer(status_code, redact(error.message)[:ERROR_CHARS_MAX])


def _answer(response: Response, secrets: Sequence[Secret]) -> Answer:
    asked_s = None
    if response.status_code in _THROTTLES:
        asked_s = parse_retry_after(response.headers)
    keys = [key for one in secrets for key in (one.reveal(), one.reveal().removeprefix(PREFIX))]
    text = redact(response.body.decode("utf-8", "replace"), keys)
    head = "".join(char if char.isprintable() else " " for char in text[:RESPONSE_HEAD_CHARS])
    answer = Answer(response.status_code, None, asked_s, head)
    if answer.is_taken:
        return answer
    return Answer(response.status_code, f"answered {response.status_code}", asked_s, head)
