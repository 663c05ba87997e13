"""blend: candidates are in, or a layer is: jobs of blend batches go on to their synthesis."""

from app.pipeline import advance as use_case
from app.queue import Step
from workers.actor import actor
from workers.runtime import Runtime


@actor(Step.BLEND)
def blend(runtime: Runtime, batch_id: str, *job_ids: str) -> None:
    """Advance some jobs of a blend batch."""
    use_case.advance(runtime.services, batch_id, job_ids)
