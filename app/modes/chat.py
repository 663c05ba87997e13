"""chat: one model answers."""

from collections.abc import Sequence

from app.domain.plan import CallResult, JobView, Outcome, Plan, Round
from app.domain.prompt import Variant
from app.modes.base import candidates, candidates_round, check_parts, check_variants


class Chat:
    """One call; the job ends as the call did."""

    name = "chat"
    needs_text = False

    def check(self, plan: Plan) -> None:
        """Exactly one variant, and nothing of another mode."""
        check_variants(plan, least=1, most=1)
        check_parts(plan)

    def plan(self, job: JobView) -> Round:
        """The one call."""
        return candidates_round(job.plan)

    def advance(self, job: JobView, results: Sequence[CallResult]) -> Round | Outcome:
        """The call's own end: a failed job has its call's reason, or else its state."""
        for result in candidates(job, results):
            if result.succeeded:
                return Outcome(succeeded=True)
            return Outcome(
                succeeded=False,
                reason=result.error_reason or result.state.value,
                message=f"The call ended as {result.state.value}.",
            )
        return Outcome(succeeded=False, reason="all_failed", message="There was no call.")

    def later_calls(self, plan: Plan) -> Sequence[tuple[Variant, int]]:
        """None."""
        return ()
