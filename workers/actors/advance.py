"""advance: jobs whose round is done go on, in every mode that has no actor of its own."""

from app.pipeline import advance as use_case
from app.queue import Step
from workers.actor import actor
from workers.runtime import Runtime


@actor(Step.ADVANCE)
def advance(runtime: Runtime, batch_id: str, *job_ids: str) -> None:
    """Advance some jobs of a batch."""
    use_case.advance(runtime.services, batch_id, job_ids)
