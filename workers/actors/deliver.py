"""deliver: an endpoint is told an event."""

from app.pipeline import deliver as use_case
from app.queue import Step
from workers.actor import actor
from workers.runtime import Runtime


@actor(Step.DELIVER)
def deliver(runtime: Runtime, delivery_id: str) -> None:
    """Try one delivery."""
    use_case.deliver(runtime.services, delivery_id)
