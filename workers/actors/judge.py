"""judge: candidates are in, or verdicts are: jobs of judge batches go on."""

from app.pipeline import advance as use_case
from app.queue import Step
from workers.actor import actor
from workers.runtime import Runtime


@actor(Step.JUDGE)
def judge(runtime: Runtime, batch_id: str, *job_ids: str) -> None:
    """Advance some jobs of a judge batch."""
    use_case.advance(runtime.services, batch_id, job_ids)
