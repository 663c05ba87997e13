"""failing: an endpoint that is gone, or has failed for days, is told nothing any more."""

from collections.abc import Sequence

import structlog

from app.db import Tx
from app.models import Endpoint
from app.pipeline.attempt import Answer
from app.pipeline.services import Services
from app.pipeline.tell import tell
from app.webhooks.events import endpoint_disabled
from app.webhooks.schedule import ATTEMPTS_MAX

log = structlog.get_logger(__name__)

#: For so long, and for as many attempts as one delivery has at least, nothing but failures.
FAILING_MAX_S = 5 * 24 * 3600
GONE, FAILING = "gone", "failing"
_GONE = 410
_TAKEN = """
UPDATE endpoint SET failing_since = NULL, failures = 0
WHERE id = :endpoint AND failing_since IS NOT NULL
"""
_FAILED = """
UPDATE endpoint SET failures = failures + 1, failing_since = COALESCE(failing_since, {now})
WHERE id = :endpoint RETURNING failures, {age_s(failing_since)}
"""
_DISABLE = """
UPDATE endpoint SET disabled_at = {now}, disabled_reason = :reason
WHERE id = :endpoint AND disabled_at IS NULL AND deleted_at IS NULL
"""


def note_answers(tx: Tx, services: Services, answers: Sequence[tuple[Endpoint, Answer]]) -> None:
    """Note what endpoints answered, and disable the one that will not take anything any more."""
    for endpoint, answer in sorted(answers, key=lambda one: one[0].id):
        reason = _reason_to_disable(tx, services, endpoint.id, answer)
        if reason is not None:
            _disable(tx, services, endpoint, reason)


def _reason_to_disable(tx: Tx, services: Services, endpoint_id: str, answer: Answer) -> str | None:
    store = services.store
    if answer.is_taken:
        tx.run(store.sql(_TAKEN), {"endpoint": endpoint_id})
        return None
    failures, for_s = tx.run(store.sql(_FAILED), {"endpoint": endpoint_id}).one()
    if answer.status_code == _GONE:
        return GONE
    return FAILING if for_s >= FAILING_MAX_S and failures >= ATTEMPTS_MAX else None


def _disable(tx: Tx, services: Services, endpoint: Endpoint, reason: str) -> None:
    values = {"endpoint": endpoint.id, "reason": reason}
    if tx.run(services.store.sql(_DISABLE), values).rowcount == 0:
        return
    log.warning("endpoint_disabled", endpoint_id=endpoint.id, reason=reason)
    event = endpoint_disabled(endpoint.id, reason, services.store.now(tx))
    tell(tx, services, endpoint.account_id, None, event)
