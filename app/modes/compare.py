"""compare: every variant answers, side by side."""

from collections.abc import Sequence

from app.domain.plan import CallResult, JobView, Outcome, Plan, Round
from app.domain.prompt import Variant
from app.modes.base import candidates, candidates_round, check_parts, check_variants

VARIANTS_MAX = 64


class Compare:
    """One call per variant; the job succeeds if any of them does."""

    name = "compare"
    needs_text = False

    def check(self, plan: Plan) -> None:
        """1 to 64 variants, and nothing of another mode."""
        check_variants(plan, least=1, most=VARIANTS_MAX)
        check_parts(plan)

    def plan(self, job: JobView) -> Round:
        """A call per variant."""
        return candidates_round(job.plan)

    def advance(self, job: JobView, results: Sequence[CallResult]) -> Round | Outcome:
        """Success with one answer or more; what is missing is counted where results are shown."""
        if any(result.succeeded for result in candidates(job, results)):
            return Outcome(succeeded=True)
        return Outcome(succeeded=False, reason="all_failed", message="No model answered.")

    def later_calls(self, plan: Plan) -> Sequence[tuple[Variant, int]]:
        """None."""
        return ()
