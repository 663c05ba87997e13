"""What a batch asks, as it is kept beside it: its plan, the client's words, and its metadata."""

import msgspec

from app.db import Tx
from app.domain.plan import Plan
from app.domain.spec import BatchBody
from app.models import Batch, BatchMetadata, BatchSpec


def keep_spec(tx: Tx, batch: Batch, plan: Plan, body: BatchBody) -> None:
    """Write what a new batch asks."""
    plan_json = msgspec.json.encode(plan).decode()
    tx.add(BatchSpec(batch_id=batch.id, plan=plan_json, body=_kept(body, batch)))
    for name, value in body.metadata.items():
        tx.add(
            BatchMetadata(account_id=batch.account_id, name=name, value=value, batch_id=batch.id)
        )


def _kept(body: BatchBody, batch: Batch) -> str:
    """What the client wrote, but for secrets, and for the template where texts are sealed."""
    sealed = {"template"} if batch.seal is not None else set()
    return body.model_dump_json(exclude={"webhook": {"secret"}} | dict.fromkeys(sealed, True))
