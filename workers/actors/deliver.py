"""deliver: endpoints are told events. The courier does it; a hint only wakes it."""

from app.queue import Step
from workers.actor import actor
from workers.runtime import Runtime


@actor(Step.DELIVER)
def deliver(runtime: Runtime) -> None:
    """Deliver what is due."""
    runtime.wake_courier()
