"""Deliver: tell endpoints what they are to be told, and try again until they have taken it.

Claim (transaction), POST (none), record (transaction). A worker that is lost in between leaves
its rows `sending` with the moment at which they are given up in `due_at`, where they are found
again. Endpoints take turns, and each is told a few things at a time whoever tells it, so that
one that is slow, or has a hundred thousand events before it, keeps nobody else waiting.
"""

import random
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import msgspec
import structlog
from sqlmodel import Session, col, select

from app.db import Commit, Store, Tx, in_ms
from app.domain.errors import SealError
from app.domain.states import DeliveryState
from app.domain.wire import Sender
from app.models import Account, Delivery, Endpoint, Event
from app.pipeline.attempt import Answer, Message, failure, post, secrets_of
from app.pipeline.failing import note_answers
from app.pipeline.services import Services
from app.webhooks.schedule import ATTEMPTS_MAX, next_delay_s

log = structlog.get_logger(__name__)

#: After that, the worker that made an attempt is taken for lost.
GIVE_UP_S = 60.0
#: So many attempts at a time: to an endpoint, by all workers; for an account, by this one.
ENDPOINT_AT_ONCE = 8
ACCOUNT_AT_ONCE = 32
_GONE = 410
_OPEN = "state IN ('queued', 'sending')"

#: Endpoints one after the other by the index, however many deliveries lie between them.
_DUE_ENDPOINTS = f"""
WITH RECURSIVE e(id) AS (
  SELECT * FROM (SELECT endpoint_id FROM delivery WHERE {_OPEN} ORDER BY endpoint_id LIMIT 1) AS f
  UNION ALL
  SELECT (SELECT endpoint_id FROM delivery WHERE {_OPEN} AND endpoint_id > e.id
          ORDER BY endpoint_id LIMIT 1)
  FROM e WHERE e.id IS NOT NULL
)
SELECT e.id, endpoint.account_id FROM e JOIN endpoint ON endpoint.id = e.id
WHERE EXISTS (
  SELECT 1 FROM delivery WHERE {_OPEN} AND state = 'queued' AND endpoint_id = e.id
    AND due_at <= (SELECT {{now}}))
"""  # noqa: S608 - our own words
_LOST = "SELECT 1 FROM delivery WHERE state = 'sending' AND due_at <= (SELECT {now}) LIMIT 1"
_GIVE_BACK = """
UPDATE delivery SET state = 'queued' WHERE state = 'sending' AND due_at <= (SELECT {now})
"""
_LOCK_ENDPOINT = """
SELECT disabled_at IS NOT NULL OR deleted_at IS NOT NULL FROM endpoint
WHERE id = :endpoint {skip_locked}
"""
#: A statement of its own, so that it sees what was committed before the lock.
_SENDING = """
SELECT COUNT(*) FROM delivery
WHERE state IN ('queued', 'sending') AND state = 'sending' AND endpoint_id = :endpoint
"""
_CLAIM = """
WITH c AS MATERIALIZED (
  SELECT id FROM delivery WHERE state IN ('queued', 'sending') AND state = 'queued'
    AND endpoint_id = :endpoint AND due_at <= (SELECT {now})
  ORDER BY due_at LIMIT :n {skip_locked}
)
UPDATE delivery
SET state = 'sending', epoch = epoch + 1, attempts = attempts + 1, due_at = {after_ms(:give_up_ms)}
FROM c WHERE delivery.id = c.id
RETURNING delivery.id
"""
_CANCEL = """
UPDATE delivery SET state = 'cancelled', error = 'the endpoint is disabled', closed_at = {now}
WHERE state IN ('queued', 'sending') AND state = 'queued' AND endpoint_id = :endpoint
"""
_RECORD = """
UPDATE delivery
SET state = :state, due_at = {after_ms(:delay_ms)}, status_code = :status_code, error = :error,
    response_head = :response_head, answers = :answers,
    closed_at = CASE WHEN :is_closed THEN {now} END
WHERE id = :id AND epoch = :epoch AND state = 'sending'
"""


@dataclass(frozen=True, slots=True)
class Claim:
    """A delivery that is ours to try, as read from the store."""

    delivery: Delivery = field(repr=False)
    now: datetime
    event: Event = field(repr=False)
    endpoint: Endpoint = field(repr=False)
    account: Account = field(repr=False)


def is_delivery_due(session: Session, store: Store) -> bool:
    """Whether anything is to be tried now, or its worker is taken for lost."""
    connection = session.connection()
    return any(
        connection.execute(store.sql(query)).first() is not None
        for query in (_LOST, f"{_DUE_ENDPOINTS} LIMIT 1")
    )


def claim_deliveries(
    services: Services, room: int, busy: Mapping[str, int] | None = None
) -> list[Claim]:
    """Claim what is due, the longest due first of each endpoint, as many as there is room for.

    Args:
        services: the store.
        room: how many at most.
        busy: by account, how many this worker is at already.
    """
    store, taken = services.store, Counter(busy or {})
    claims: list[Claim] = []
    for endpoint_id, account_id in _due_endpoints(store):
        n = min(room - len(claims), ACCOUNT_AT_ONCE - taken[account_id])
        if n > 0:
            with store.transaction(Commit.DELIVERY_CLAIM) as tx:
                found = _claim(tx, store, endpoint_id, n)
            taken[account_id] += len(found)
            claims += found
    return claims


def _due_endpoints(store: Store) -> list[tuple[str, str]]:
    """Endpoints and their accounts that have something due, in no order."""
    with store.read() as session:
        is_lost = session.connection().execute(store.sql(_LOST)).first() is not None
    if is_lost:
        with store.transaction(Commit.DELIVERY_GIVE_BACK) as tx:
            tx.run(store.sql(_GIVE_BACK))
    with store.read() as session:
        rows = session.connection().execute(store.sql(_DUE_ENDPOINTS)).all()
    return random.sample([(row[0], row[1]) for row in rows], len(rows))


def _claim(tx: Tx, store: Store, endpoint_id: str, n: int) -> list[Claim]:
    endpoint = {"endpoint": endpoint_id}
    is_disabled = tx.run(store.sql(_LOCK_ENDPOINT), endpoint).scalar_one_or_none()
    if is_disabled is None:
        return []
    if is_disabled:
        tx.run(store.sql(_CANCEL), endpoint)
        return []
    sending = tx.run(store.sql(_SENDING), endpoint).scalar_one()
    limit = max(0, min(n, ENDPOINT_AT_ONCE - sending))
    values = {"endpoint": endpoint_id, "n": limit, "give_up_ms": in_ms(GIVE_UP_S)}
    ids = [row[0] for row in tx.run(store.sql(_CLAIM), values)]
    rows = tx.exec(
        select(Delivery, Event, Endpoint, Account)
        .join(Event, col(Delivery.event_id) == col(Event.id))
        .join(Endpoint, col(Delivery.endpoint_id) == col(Endpoint.id))
        .join(Account, col(Endpoint.account_id) == col(Account.id))
        .where(col(Delivery.id).in_(ids))
        .order_by(col(Delivery.id))
    ).all()
    now = store.now(tx)
    claims = [Claim(row[0], now, row[1], row[2], row[3]) for row in rows]
    lost = [one for one in claims if one.delivery.attempts > ATTEMPTS_MAX]
    for claim in lost:
        answer = Answer(error="the worker of its last attempt was lost")
        _write(tx, store, claim, DeliveryState.FAILED, answer)
    return [one for one in claims if one not in lost]


async def attempt(services: Services, claim: Claim, sender: Sender) -> Answer:
    """Try a delivery once. Never raises."""
    try:
        secrets = secrets_of(services.vault, claim.account, claim.endpoint, claim.now)
    except SealError as error:
        log.error("webhook_secret_sealed", delivery_id=claim.delivery.id, detail=error.message)  # noqa: TRY400 - a stack says no more
        return failure(error)
    message = Message(claim.event.id, claim.event.body, claim.endpoint.url, claim.now, secrets)
    return await post(services.settings, message, sender)


def record_answers(services: Services, answers: Sequence[tuple[Claim, Answer]]) -> None:
    """Write what came of attempts, and what that says of their endpoints; all at once."""
    store = services.store
    with store.transaction(Commit.DELIVERY_RECORD) as tx:
        ours = []
        for claim, answer in sorted(answers, key=lambda one: one[0].delivery.id):
            if _record(tx, store, claim, answer):
                ours.append((claim.endpoint, answer))
        note_answers(tx, services, ours)


def _record(tx: Tx, store: Store, claim: Claim, answer: Answer) -> bool:
    delivery = claim.delivery
    delay_s = next_delay_s(delivery.id, delivery.attempts, answer.retry_after_s)
    if answer.is_taken:
        return _write(tx, store, claim, DeliveryState.DELIVERED, answer)
    if answer.status_code == _GONE or delay_s is None:
        return _write(tx, store, claim, DeliveryState.FAILED, answer)
    return _write(tx, store, claim, DeliveryState.QUEUED, answer, delay_s)


def _write(
    tx: Tx,
    store: Store,
    claim: Claim,
    state: DeliveryState,
    answer: Answer,
    delay_s: float = 0.0,
) -> bool:
    """Move the delivery on, unless another worker has it by now; whether it was moved."""
    delivery = claim.delivery
    entry = {
        "attempt": delivery.attempts,
        "at": claim.now,
        "status_code": answer.status_code,
        "error": answer.error,
        "response_head": answer.head,
    }
    log_ = [*msgspec.json.decode(delivery.answers), entry]
    written = tx.run(
        store.sql(_RECORD),
        {
            "id": delivery.id,
            "epoch": delivery.epoch,
            "state": state.value,
            "is_closed": state is not DeliveryState.QUEUED,
            "delay_ms": in_ms(delay_s),
            "status_code": answer.status_code,
            "error": answer.error,
            "response_head": answer.head,
            "answers": msgspec.json.encode(log_).decode(),
        },
    )
    is_ours = written.rowcount == 1
    log.info(
        "delivery_attempted" if is_ours else "delivery_fenced",
        delivery_id=delivery.id,
        endpoint_id=claim.endpoint.id,
        event_id=claim.event.id,
        attempts=delivery.attempts,
        state=state.value,
        status_code=answer.status_code,
    )
    return is_ours
