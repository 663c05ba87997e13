"""dispatch: a lane has calls to send, so the pump looks. The pump's turn is the use case."""

from app.queue import Step
from workers.actor import actor
from workers.runtime import Runtime


@actor(Step.DISPATCH)
def dispatch(runtime: Runtime, provider: str, lane_id: str) -> None:  # noqa: ARG001 - it looks at all
    """Wake the pump, and return: a pump inside an actor would tie a thread to each lane."""
    runtime.wake_pump()
