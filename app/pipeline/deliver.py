"""Deliver: tell one endpoint one event, and try again until it has taken it.

Claim (transaction), POST (none), record (transaction). A worker that is lost in between leaves
the row `sending` with the moment at which it is given up in `due_at`, where it is found again.
"""

import asyncio
from dataclasses import dataclass, field
from datetime import datetime

import sqlalchemy as sa
import structlog
from sqlmodel import Session, col, select

from app.db import Commit, Store, Tx, db_now, in_ms
from app.domain.errors import AppError, ProviderError, SealError
from app.domain.redact import redact
from app.domain.secret import Secret
from app.domain.states import DeliveryState
from app.domain.wire import Request, Response, Sender
from app.models import Account, Delivery, Endpoint, Event
from app.net import GuardedSender
from app.pipeline.services import Services
from app.providers.base import parse_retry_after
from app.vault.master import Vault
from app.vault.webhook_secrets import open_webhook_secret
from app.webhooks.schedule import ATTEMPTS_MAX, next_delay_s
from app.webhooks.signing import PREFIX, signed_headers

log = structlog.get_logger(__name__)

#: All of one attempt, from the lookup to the last byte of the answer.
ATTEMPT_TIMEOUT_S = 15.0
#: After that, the worker that made an attempt is taken for lost.
GIVE_UP_S = 60.0
RESPONSE_BYTES_MAX = 64 * 1024
RESPONSE_HEAD_CHARS = 1024
ERROR_CHARS_MAX = 300
_GONE = 410
#: Answers whose Retry-After is honoured.
_THROTTLES = (429, 503)

_CLAIM = """
UPDATE delivery
SET state = 'sending', epoch = epoch + 1, attempts = attempts + 1, due_at = {after_ms(:give_up_ms)}
WHERE id = :id AND state IN ('queued', 'sending') AND due_at <= {now}
RETURNING epoch, attempts
"""
_RECORD = """
UPDATE delivery
SET state = :state, due_at = {after_ms(:delay_ms)}, status_code = :status_code, error = :error,
    response_head = :response_head, closed_at = CASE WHEN :is_closed THEN {now} END
WHERE id = :id AND epoch = :epoch AND state = 'sending'
"""


@dataclass(frozen=True, slots=True)
class _Claim:
    """A delivery that is ours to try, as read from the store."""

    delivery_id: str
    epoch: int
    attempts: int
    now: datetime
    event: Event = field(repr=False)
    endpoint: Endpoint = field(repr=False)
    account: Account = field(repr=False)


@dataclass(frozen=True, slots=True)
class _Answer:
    """What came of one attempt."""

    status_code: int | None = None
    error: str | None = None
    retry_after_s: float | None = None
    head: str | None = None

    @property
    def is_taken(self) -> bool:
        return self.status_code is not None and 200 <= self.status_code < 300  # noqa: PLR2004 - 2xx


def due_deliveries(session: Session, limit: int) -> list[str]:
    """Deliveries to be tried now, or whose worker is taken for lost, the longest due first."""
    # PostgreSQL's clock may change within a statement, so an index can only be searched by one
    # reading of it: hence the subquery. The states are in the index's own words.
    now = sa.select(db_now()).scalar_subquery()
    return list(
        session.exec(
            select(Delivery.id)
            .where(sa.text("state IN ('queued', 'sending')"), col(Delivery.due_at) <= now)
            .order_by(col(Delivery.due_at))
            .limit(limit)
        ).all()
    )


def deliver(services: Services, delivery_id: str, sender: Sender | None = None) -> None:
    """Try a delivery once, if it is due and nobody else does."""
    with services.store.transaction(Commit.DELIVERY_CLAIM) as tx:
        claim = _claim(tx, services.store, delivery_id)
    if claim is None:
        return
    answer = _attempt(services, claim, sender)
    with services.store.transaction(Commit.DELIVERY_RECORD) as tx:
        _record(tx, services.store, claim, answer)


def _claim(tx: Tx, store: Store, delivery_id: str) -> _Claim | None:
    ours = tx.run(
        store.sql(_CLAIM), {"id": delivery_id, "give_up_ms": in_ms(GIVE_UP_S)}
    ).one_or_none()
    if ours is None:
        return None
    row = tx.exec(
        select(Event, Endpoint, Account)
        .join(Delivery, col(Delivery.event_id) == col(Event.id))
        .join(Endpoint, col(Delivery.endpoint_id) == col(Endpoint.id))
        .join(Account, col(Endpoint.account_id) == col(Account.id))
        .where(Delivery.id == delivery_id)
    ).one()
    claim = _Claim(delivery_id, ours.epoch, ours.attempts, store.now(tx), *row)
    if claim.endpoint.disabled_at is not None:
        answer = _Answer(error="the endpoint is disabled")
        _write(tx, store, claim, DeliveryState.CANCELLED, answer)
        return None
    if claim.attempts > ATTEMPTS_MAX:
        answer = _Answer(error="the worker of its last attempt was lost")
        _write(tx, store, claim, DeliveryState.FAILED, answer)
        return None
    return claim


def _attempt(services: Services, claim: _Claim, sender: Sender | None) -> _Answer:
    try:
        secret = _secret_for(services.vault, claim)
    except SealError as error:
        log.error("webhook_secret_sealed", delivery_id=claim.delivery_id, detail=error.message)  # noqa: TRY400 - a stack says no more
        return _Answer(error=error.message)
    body = claim.event.body
    headers = {
        "content-type": "application/json",
        "user-agent": "Overnight",
        **signed_headers(secret, claim.event.id, claim.now, body),
    }
    request = Request("POST", claim.endpoint.url, headers, body.encode())
    try:
        response = asyncio.run(_send(request, sender, services.settings.trusted_hosts))
    except AppError as error:
        return _failure(error)
    return _answer(response, secret)


async def _send(
    request: Request, sender: Sender | None, trusted_hosts: tuple[str, ...]
) -> Response:
    if sender is not None:
        return await sender.send(request, ATTEMPT_TIMEOUT_S)
    guarded = GuardedSender(trusted_hosts, response_bytes_max=RESPONSE_BYTES_MAX)
    try:
        return await guarded.send(request, ATTEMPT_TIMEOUT_S)
    finally:
        await guarded.close()


def _secret_for(vault: Vault, claim: _Claim) -> Secret:
    endpoint, account = claim.endpoint, claim.account
    if endpoint.secret_sealed is not None:
        return open_webhook_secret(vault, account, endpoint.id, endpoint.secret_sealed)
    return open_webhook_secret(vault, account, account.id, account.webhook_secret_sealed)


def _failure(error: AppError) -> _Answer:
    # An answer that was too long to read was still an answer.
    status_code = error.status_code if isinstance(error, ProviderError) else None
    return _Answer(status_code, redact(error.message)[:ERROR_CHARS_MAX])


def _answer(response: Response, secret: Secret) -> _Answer:
    asked_s = None
    if response.status_code in _THROTTLES:
        asked_s = parse_retry_after(response.headers)
    key = secret.reveal()
    text = redact(response.body.decode("utf-8", "replace"), [key, key.removeprefix(PREFIX)])
    head = "".join(char if char.isprintable() else " " for char in text[:RESPONSE_HEAD_CHARS])
    answer = _Answer(response.status_code, None, asked_s, head)
    if answer.is_taken:
        return answer
    return _Answer(response.status_code, f"answered {response.status_code}", asked_s, head)


def _record(tx: Tx, store: Store, claim: _Claim, answer: _Answer) -> None:
    delay_s = next_delay_s(claim.delivery_id, claim.attempts, answer.retry_after_s)
    if answer.is_taken:
        _write(tx, store, claim, DeliveryState.DELIVERED, answer)
    elif answer.status_code == _GONE or delay_s is None:
        is_ours = _write(tx, store, claim, DeliveryState.FAILED, answer)
        if is_ours and answer.status_code == _GONE:
            _disable(tx, claim)
    else:
        _write(tx, store, claim, DeliveryState.QUEUED, answer, delay_s)


def _write(
    tx: Tx,
    store: Store,
    claim: _Claim,
    state: DeliveryState,
    answer: _Answer,
    delay_s: float = 0.0,
) -> bool:
    """Move the delivery on, unless another worker has it by now; whether it was moved."""
    written = tx.run(
        store.sql(_RECORD),
        {
            "id": claim.delivery_id,
            "epoch": claim.epoch,
            "state": state.value,
            "is_closed": state is not DeliveryState.QUEUED,
            "delay_ms": in_ms(delay_s),
            "status_code": answer.status_code,
            "error": answer.error,
            "response_head": answer.head,
        },
    )
    is_ours = written.rowcount == 1
    log.info(
        "delivery_attempted" if is_ours else "delivery_fenced",
        delivery_id=claim.delivery_id,
        endpoint_id=claim.endpoint.id,
        event_id=claim.event.id,
        attempts=claim.attempts,
        state=state.value,
        status_code=answer.status_code,
    )
    return is_ours


def _disable(tx: Tx, claim: _Claim) -> None:
    tx.run(
        sa.update(Endpoint)
        .where(col(Endpoint.id) == claim.endpoint.id, col(Endpoint.disabled_at).is_(None))
        .values(disabled_at=db_now())
    )
    log.warning("endpoint_disabled", endpoint_id=claim.endpoint.id, reason="it answered 410")
