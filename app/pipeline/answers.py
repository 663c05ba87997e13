"""What jobs came to, as rows; their texts as the batch keeps them."""

from collections.abc import Mapping

import msgspec

from app.db import Store, Tx
from app.domain.plan import Outcome
from app.models import StoredText, StoredVerdict
from app.pipeline.calls import TEXT_COLUMNS
from app.vault.texts import Texts

_VERDICT_COLUMNS = ("job_id", "batch_id", "winner", "abstained", "body")


def insert_outcomes(
    tx: Tx, store: Store, batch_id: str, outcomes: Mapping[str, Outcome], texts: Texts
) -> None:
    """Write what jobs of a batch came to, by the job's id: verdicts, syntheses and routes."""
    verdicts, rows = [], []
    for job_id, outcome in outcomes.items():
        if (verdict := outcome.verdict) is not None:
            body = texts.seal("verdict", job_id, _json(verdict))
            verdicts.append((job_id, batch_id, verdict.winner, verdict.abstained, body))
        if outcome.synthesis is not None:
            rows.append(texts.row(job_id, "synthesis", batch_id, _json(outcome.synthesis)))
        if outcome.route is not None:
            rows.append(texts.row(job_id, "route", batch_id, _json(outcome.route)))
    if verdicts:
        store.insert_rows(tx, StoredVerdict, _VERDICT_COLUMNS, verdicts)
    if rows:
        store.insert_rows(tx, StoredText, TEXT_COLUMNS, rows)


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()
