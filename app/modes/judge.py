"""judge: contestants answer, and a panel that does not know who they are scores them.

A verdict that cannot be read is asked for once more; after that its judge abstains.

    candidates ──▶ one question per judge ──▶ repairs, where needed ──▶ outcome

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

import msgspec

from app.domain.errors import InvalidRequestError
from app.domain.plan import CallResult, JobView, JudgeSpec, Outcome, Plan, Round
from app.domain.prompt import Variant
from app.domain.states import Role
from app.modes.base import candidates, candidates_round, check_labels, check_variants
from app.modes.judge_panel import panel_verdict
from app.modes.judge_round import is_repair, questions, repairs, sized, spec_of
from app.modes.judge_verdict import ReadVerdict, Unreadable, read_verdict

CONTESTANTS_MIN = 2
CONTESTANTS_MAX = 16
JUDGES_MAX = 7
CRITERIA_MAX = 12


class Judge:
    """Contestants are scored by a panel that does not know who they are."""

    name = "judge"
    needs_text = True

    def check(self, plan: Plan) -> None:
        """2 to 16 contestants, 1 to 7 judges, and no judge of its own answers unless allowed."""
        if plan.judge is None:
            raise InvalidRequestError("judge: name at least one judge", param="judge")
        check_variants(plan, least=CONTESTANTS_MIN, most=CONTESTANTS_MAX)
        _check_judges(plan, plan.judge)
        _check_criteria(plan.judge.criteria)

    def plan(self, job: JobView) -> Round:
        """The contestants."""
        return candidates_round(job.plan)

    def advance(self, job: JobView, results: Sequence[CallResult]) -> Round | Outcome:
        """Judge what was answered, repair what could not be read, then give the verdict."""
        answers = {
            result.label: result.text for result in candidates(job, results) if result.succeeded
        }
        judged = [result for result in results if result.role is Role.JUDGE]
        if not judged:
            return _unjudged(answers) or questions(job, answers)
        readings = _readings(spec_of(job.plan), judged)
        if not any(is_repair(result) for result in judged) and (
            round_ := repairs(job, answers, judged, readings)
        ):
            return round_
        return _outcome(job.plan, judged, readings)

    def later_calls(self, plan: Plan) -> Sequence[tuple[Variant, int]]:
        """Each judge twice: its verdict, and a repair that also reads the first answer."""
        spec, count = spec_of(plan), len(plan.variants)
        judges = [
            msgspec.structs.replace(judge, params=sized(judge.params, count, len(spec.criteria)))
            for judge in spec.judges
        ]
        return [(judge, reads) for judge in judges for reads in (count, count + 1)]


def _check_judges(plan: Plan, spec: JudgeSpec) -> None:
    if not 1 <= len(spec.judges) <= JUDGES_MAX:
        raise InvalidRequestError(
            f"judge.judges: there may be 1 to {JUDGES_MAX} judges", param="judge.judges"
        )
    check_labels(spec.judges, param="judge.judges")
    contestants = {variant.ref for variant in plan.variants}
    for place, judge in enumerate(spec.judges):
        if judge.ref in contestants and not spec.allow_self:
            where = f"judge.judges[{place}]"
            raise InvalidRequestError(
                f"{where}: {judge.ref} is a contestant; choose another judge, or set "
                "judge.allow_self and its own answers will be marked",
                param=where,
            )


def _check_criteria(criteria: Sequence[str]) -> None:
    if len(criteria) > CRITERIA_MAX:
        raise InvalidRequestError(
            f"judge.criteria: there may be at most {CRITERIA_MAX}", param="judge.criteria"
        )
    for place, criterion in enumerate(criteria):
        where = f"judge.criteria[{place}]"
        if not criterion.strip():
            raise InvalidRequestError(f"{where}: a criterion needs words", param=where)
        if criterion in criteria[:place]:
            raise InvalidRequestError(f"{where}: this criterion is listed before", param=where)


def _unjudged(answers: Mapping[str, str]) -> Outcome | None:
    """How the job ends where there is nothing to judge."""
    if not answers:
        return Outcome(succeeded=False, reason="all_failed", message="No contestant answered.")
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


def _readings(spec: JudgeSpec, judged: Sequence[CallResult]) -> dict[str, ReadVerdict | Unreadable]:
    """What each judge's last call says, by its label; a judge whose call failed is not in it."""
    last: dict[str, CallResult] = {}
    for result in sorted(judged, key=is_repair):
        last[result.label] = result
    return {
        judge.label: read_verdict(
            last[judge.label].text,
            judge=judge.label,
            contestants=(last[judge.label].meta or {}).get("contestants", {}),
            criteria=spec.criteria,
        )
        for judge in spec.judges
        if judge.label in last and last[judge.label].succeeded
    }


def _outcome(
    plan: Plan,
    judged: Sequence[CallResult],
    readings: Mapping[str, ReadVerdict | Unreadable],
) -> Outcome:
    spoken = {
        label: reading for label, reading in readings.items() if isinstance(reading, ReadVerdict)
    }
    addressing = {
        label for result in judged for label in (result.meta or {}).get("addresses_judge", [])
    }
    abstained = len(spec_of(plan).judges) - len(spoken)
    return Outcome(
        succeeded=True,
        verdict=panel_verdict(plan, spoken, abstained=abstained, addressing=addressing),
    )
