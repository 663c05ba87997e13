"""judge: contestants answer, and a panel that does not know who they are scores them.

A verdict that cannot be read is asked for once more; after that its judge abstains.

    candidates ──▶ checks ──▶ questions to the judges ──▶ repairs, where needed ──▶ outcome

A rubric is one question to each judge, on all answers; pairwise, two on every pair, one in each
order. `judge_flow` says when judges are asked one after another.

How a job ends:

- no contestant succeeded: failed, `all_failed`
- one succeeded, or all that did wrote nothing: succeeded, with reason `too_few_answers` and
  no verdict; no judge is asked, because there is nothing to tell apart
- else: succeeded, with a verdict. If every judge abstained it has no scores and no winner:
  judging is missing then, and is seen to be.

A contestant whose call failed or was refused is not shown to the judges: it is missing, not
bad. One that succeeded and wrote nothing is shown, and judged as the empty answer it is;
otherwise a model could better its mean by falling silent on what is hard for it.
"""

from collections.abc import Mapping, Sequence

from app.domain.errors import InvalidRequestError
from app.domain.plan import CallResult, JobView, Outcome, Plan, Round
from app.domain.prompt import Variant
from app.modes.base import candidates, candidates_round, check_parts, check_variants
from app.modes.judge_flow import judge_answers, judged_in
from app.modes.judge_plan import check_judges, judge_calls, spec_of

CONTESTANTS_MIN = 2
CONTESTANTS_MAX = 16


class Judge:
    """Contestants are scored by a panel that does not know who they are."""

    name = "judge"
    needs_text = True

    def check(self, plan: Plan) -> None:
        """2 to 16 contestants, judges or checks, and no judge of its own answers unless allowed."""
        if plan.judge is None:
            raise InvalidRequestError("judge: name at least one judge", param="judge")
        check_parts(plan, "judge")
        check_variants(plan, least=CONTESTANTS_MIN, most=CONTESTANTS_MAX)
        contestants = {variant.ref for variant in plan.variants}
        check_judges(plan.judge, contestants, [variant.label for variant in plan.variants])

    def plan(self, job: JobView) -> Round:
        """The contestants."""
        return candidates_round(job.plan)

    def advance(self, job: JobView, results: Sequence[CallResult]) -> Round | Outcome:
        """Judge what was answered, repair what could not be read, then give the verdict."""
        answers = {
            result.label: result.text for result in candidates(job, results) if result.succeeded
        }
        judged = judged_in(results)
        has_judges = bool(spec_of(job.plan).judges)
        if not judged and (outcome := _unjudged(answers, has_judges=has_judges)):
            return outcome
        step = judge_answers(job, answers, judged)
        return step if isinstance(step, Round) else Outcome(succeeded=True, verdict=step)

    def later_calls(self, plan: Plan) -> Sequence[tuple[Variant, int]]:
        """Each question twice: its verdict, and a repair that also reads the first answer."""
        return judge_calls(spec_of(plan), len(plan.variants))


def _unjudged(answers: Mapping[str, str], *, has_judges: bool) -> Outcome | None:
    """How the job ends where there is nothing to judge."""
    if not answers:
        return Outcome(succeeded=False, reason="all_failed", message="No contestant answered.")
    if not has_judges:
        return None  # checks tell how good an answer is though it is alone
    if len(answers) == 1:
        return Outcome(
            succeeded=True,
            reason="too_few_answers",
            message="Only one contestant answered, so no judge was asked.",
        )
    if not any(text.strip() for text in answers.values()):
        return Outcome(
            succeeded=True,
            reason="too_few_answers",
            message="Every answer is empty, so no judge was asked.",
        )
    return None
