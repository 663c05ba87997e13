"""sample: the first jobs of a batch run, and the others wait until somebody has looked at them.

`batch.sample` is how many are planned; `resume` takes it away once they are closed. Until then
a resume only ends a pause, so that a sample is never passed over unseen.
"""

from app.db import Tx
from app.pipeline.services import Services
from app.pipeline.tell import tell
from app.webhooks.events import EventType, batch_event

_WAIT = """
UPDATE batch SET paused = true, paused_at = COALESCE(paused_at, {now}) WHERE id = :batch
RETURNING account_id
"""


def end_sample(tx: Tx, services: Services, batch_id: str) -> None:
    """The jobs of a sample are closed: the batch is paused, and says why, once."""
    store = services.store
    account_id = tx.run(store.sql(_WAIT), {"batch": batch_id}).scalar_one()
    event = batch_event(EventType.BATCH_SAMPLE_DONE, batch_id, store.now(tx))
    tell(tx, services, account_id, batch_id, event)
