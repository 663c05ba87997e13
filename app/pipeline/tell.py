"""tell: an event is written with its deliveries, and somebody is sent to deliver them."""

from collections.abc import Mapping

from app.db import Tx
from app.pipeline.services import Services
from app.queue import Step, send_after_commit
from app.webhooks.events import NewEvent
from app.webhooks.outbox import record_closed_jobs, record_event


def tell(
    tx: Tx, services: Services, account_id: str, batch_id: str | None, event: NewEvent
) -> None:
    """Tell whoever subscribed to it of an event, once the transaction is durable."""
    if record_event(tx, services.store, account_id, batch_id, event):
        send_after_commit(tx, services.queue, Step.DELIVER)


def tell_closed_jobs(
    tx: Tx, services: Services, account_id: str, batch_id: str, closed: Mapping[str, str]
) -> None:
    """Tell whoever asked for it of jobs that closed in this transaction."""
    if record_closed_jobs(tx, services.store, account_id, batch_id, closed):
        send_after_commit(tx, services.queue, Step.DELIVER)
