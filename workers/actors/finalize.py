"""finalize: a batch with no open job closes."""

from app.pipeline import finalize as use_case
from app.queue import Step
from workers.actor import actor
from workers.runtime import Runtime


@actor(Step.FINALIZE)
def finalize(runtime: Runtime, batch_id: str) -> None:
    """Close a batch."""
    use_case.finalize(runtime.services, batch_id)
