"""Rows of what happens around calls: verdicts, and the backlog."""

from typing import Any

from sqlmodel import Session

from app.domain.verdict import JudgeScore, Score, Verdict
from app.models import Backlog, Batch, Job, Lane, StoredVerdict
from tests.factories.base import NIGHT, add_row, as_json


def make_verdict(
    session: Session,
    job: Job,
    scores: dict[str, float],
    *,
    judge: str = "simulated/judge",
    self_judged: tuple[str, ...] = (),
    abstained: int = 0,
    **more: Any,
) -> StoredVerdict:
    """One judge's verdict on a job with these scores, by label; with none, it abstained.

    `more` is of `Verdict`, in place of what one judge alone would come to; and `chars`, the
    lengths of the answers.
    """
    chars = more.pop("chars", {})
    ranked = [
        Score(
            label,
            score,
            1 + sum(other > score for other in scores.values()),
            self_judged=label in self_judged,
            chars=chars.get(label),
        )
        for label, score in sorted(scores.items(), key=lambda item: -item[1])
    ]
    best = [one.label for one in ranked if one.rank == 1]
    own = [JudgeScore(judge, label, score) for label, score in scores.items()]
    winner = best[0] if len(best) == 1 else None
    verdict = Verdict(winner, ranked, abstained=abstained, **{"judges": own} | more)
    row = {
        "job_id": job.id,
        "batch_id": job.batch_id,
        "winner": verdict.winner,
        "abstained": abstained,
        "body": as_json(verdict),
    }
    return add_row(session, StoredVerdict, row, {})


def make_backlog(session: Session, batch: Batch, lane: Lane, model: str, **values: Any) -> Backlog:
    """Says that a lane may have calls of the batch to send, since that night."""
    row = {
        "lane_id": lane.id,
        "model": model,
        "batch_id": batch.id,
        "account_id": batch.account_id,
        "due_at": NIGHT,
    }
    return add_row(session, Backlog, row, values)
