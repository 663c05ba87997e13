"""Whom to tell that jobs can go on: the step of their mode."""

from collections.abc import Sequence

import msgspec

from app.db import Store, Tx
from app.pipeline.services import Services
from app.queue import Step, send_after_commit

#: A message that advances jobs names so many at most.
_HINTED = 200
_MODES = "SELECT batch.id, batch.mode FROM {rows(id text)} {join} batch ON batch.id = d.id"


def hint_ready(tx: Tx, services: Services, ready: Sequence[tuple[str, str]]) -> None:
    """Send (batch, job) pairs whose round is done on to their mode's step, a group per batch."""
    by_batch: dict[str, list[str]] = {}
    for batch_id, job_id in ready:
        by_batch.setdefault(batch_id, []).append(job_id)
    for batch_id, mode in _modes_of(tx, services.store, list(by_batch)):
        hint_jobs(tx, services, batch_id, mode, by_batch[batch_id])


def hint_jobs(tx: Tx, services: Services, batch_id: str, mode: str, job_ids: Sequence[str]) -> None:
    """Send jobs of one batch whose round is done on to their mode's step."""
    for start in range(0, len(job_ids), _HINTED):
        group = job_ids[start : start + _HINTED]
        send_after_commit(tx, services.queue, step_of(mode), batch_id, *group)


def step_of(mode: str) -> Step:
    """The step that advances jobs of a mode: its own, or the one of all that have none."""
    return {"judge": Step.JUDGE, "blend": Step.BLEND}.get(mode, Step.ADVANCE)


def _modes_of(tx: Tx, store: Store, batch_ids: Sequence[str]) -> list[tuple[str, str]]:
    if not batch_ids:
        return []
    ids = msgspec.json.encode([{"id": id_} for id_ in batch_ids]).decode()
    return [(row[0], row[1]) for row in tx.fast(store.sql(_MODES), {"rows": ids})]
