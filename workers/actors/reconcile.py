"""reconcile: look now for what is lost, stuck or due. The scheduler asks for it on the clock."""

from app.pipeline import reconcile as use_case
from app.queue import Step
from workers.actor import actor
from workers.runtime import Runtime


@actor(Step.RECONCILE)
def reconcile(runtime: Runtime) -> None:
    """Reconcile once."""
    use_case.reconcile(runtime.services)
