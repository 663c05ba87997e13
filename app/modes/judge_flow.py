"""Judging a set of answers: a question per judge, repairs where needed, and the verdict.

The mode judge and a blend that is judged against its candidates both come through here.
"""

from collections.abc import Collection, Mapping, Sequence

import msgspec

from app.domain.errors import InvalidRequestError
from app.domain.plan import CallResult, JobView, JudgeSpec, Plan, Round
from app.domain.prompt import ModelRef, Variant
from app.domain.states import Role
from app.domain.verdict import Verdict
from app.modes.base import check_labels
from app.modes.judge_panel import panel_verdict
from app.modes.judge_round import is_repair, questions, repairs, sized, spec_of
from app.modes.judge_verdict import ReadVerdict, Unreadable, read_verdict

JUDGES_MAX = 7
CRITERIA_MAX = 12


def check_judges(spec: JudgeSpec, contestants: Collection[ModelRef]) -> None:
    """1 to 7 judges, none of its own answers unless allowed, and criteria that can be told apart.

    Raises:
        InvalidRequestError: with the field at fault in `param`.
    """
    if not 1 <= len(spec.judges) <= JUDGES_MAX:
        raise InvalidRequestError(
            f"judge.judges: there may be 1 to {JUDGES_MAX} judges", param="judge.judges"
        )
    check_labels(spec.judges, param="judge.judges")
    for place, judge in enumerate(spec.judges):
        if judge.ref in contestants and not spec.allow_self:
            where = f"judge.judges[{place}]"
            raise InvalidRequestError(
                f"{where}: {judge.ref} is a contestant; choose another judge, or set "
                "judge.allow_self and its own answers will be marked",
                param=where,
            )
    _check_criteria(spec.criteria)


def judge_answers(
    job: JobView, answers: Mapping[str, str], judged: Sequence[CallResult]
) -> Round | Verdict:
    """What follows from the judges' calls so far: their questions, repairs, or the verdict.

    The variants of the job's plan are the contestants; `answers` has those that are shown.
    """
    if not judged:
        return questions(job, answers)
    readings = _readings(spec_of(job.plan), judged)
    if not any(is_repair(result) for result in judged) and (
        round_ := repairs(job, answers, judged, readings)
    ):
        return round_
    chars = {label: len(text) for label, text in answers.items()}
    return _verdict(job.plan, judged, readings, chars)


def judged_in(results: Sequence[CallResult]) -> list[CallResult]:
    """The judges' results."""
    return [result for result in results if result.role is Role.JUDGE]


def judge_calls(spec: JudgeSpec, contestants: int) -> list[tuple[Variant, int]]:
    """Each judge twice: its verdict, and a repair that also reads the first answer."""
    judges = [
        msgspec.structs.replace(judge, params=sized(judge.params, contestants, len(spec.criteria)))
        for judge in spec.judges
    ]
    return [(judge, reads) for judge in judges for reads in (contestants, contestants + 1)]


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


def _verdict(
    plan: Plan,
    judged: Sequence[CallResult],
    readings: Mapping[str, ReadVerdict | Unreadable],
    chars: Mapping[str, int],
) -> Verdict:
    spoken = {
        label: reading for label, reading in readings.items() if isinstance(reading, ReadVerdict)
    }
    addressing = {
        label for result in judged for label in (result.meta or {}).get("addresses_judge", [])
    }
    abstained = len(spec_of(plan).judges) - len(spoken)
    return panel_verdict(plan, spoken, abstained=abstained, addressing=addressing, chars=chars)
