"""purge: an account's content is deleted."""

from app.pipeline import purge as use_case
from app.queue import Step
from workers.actor import actor
from workers.runtime import Runtime


@actor(Step.PURGE)
def purge(runtime: Runtime, purge_id: str) -> None:
    """Go on with a purge."""
    use_case.purge(runtime.services, purge_id)
