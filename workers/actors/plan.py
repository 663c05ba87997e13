"""plan: a submitted batch's jobs become calls."""

from app.pipeline import plan as use_case
from app.queue import Step
from workers.actor import actor
from workers.runtime import Runtime


@actor(Step.PLAN)
def plan(runtime: Runtime, batch_id: str) -> None:
    """Plan a batch."""
    use_case.plan(runtime.services, batch_id)
