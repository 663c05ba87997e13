"""The jobs of a new batch: their rows, and their prompts."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import count, repeat
from typing import Any, NamedTuple

from app.db import Store, Tx
from app.domain.ids import job_ids
from app.models import Batch, Job, StoredText
from app.pipeline.calls import TEXT_COLUMNS
from app.pipeline.plan import ToPlan
from app.pipeline.spool import Spool
from app.vault.texts import Texts

_CHUNK = 2000


class NewJobs(NamedTuple):
    """What jobs are made of.

    Attributes:
        batch: whose they are.
        spool: their names, plans and prompts.
        texts: how prompts are kept.
        retried: in a batch that retries another, the position of each one's job there.
    """

    batch: Batch
    spool: Spool
    texts: Texts
    retried: Sequence[int]


def insert_jobs(tx: Tx, store: Store, new: NewJobs) -> None:
    """Write the jobs, then their prompts: one COPY each, so that the store works while we do."""
    batch, spool = new.batch, new.spool
    columns: dict[str, Iterable[Any]] = {
        "id": _ids(batch),
        "batch_id": repeat(batch.id),
        "account_id": repeat(batch.account_id),
        "position": range(spool.count),
        "custom_id": spool.names,
    }
    if any(spool.plans):
        columns["plan"] = spool.plans
    if new.retried:
        columns["retry_of"] = new.retried
    store.insert_rows(tx, Job, tuple(columns), zip(*columns.values(), strict=False))
    prompts = new.texts.rows(_ids(batch), "prompt", batch.id, spool.prompts())
    store.insert_rows(tx, StoredText, TEXT_COLUMNS, prompts)


def to_plan(batch: Batch, spool: Spool) -> Iterator[ToPlan]:
    """The same jobs, as they are planned."""
    return map(ToPlan, _ids(batch), count(), spool.plans, spool.prompts())


def _ids(batch: Batch) -> Iterator[str]:
    """The ids of a batch's jobs, some at a time."""
    jobs = batch.jobs_total
    for start in range(0, jobs, _CHUNK):
        yield from job_ids(batch.id, start, min(_CHUNK, jobs - start))
