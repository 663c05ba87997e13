"""Who is asked what, and how often: the panel, its levels, and which pairs are compared."""

from collections.abc import Collection, Sequence
from itertools import combinations

import msgspec

from app.domain.errors import InvalidRequestError, InvariantError
from app.domain.plan import JudgeSpec, Plan
from app.domain.prompt import ModelRef, Params, Variant
from app.modes.base import check_labels
from app.modes.draw import Draw
from app.modes.judge_checks import check_checks

JUDGES_MAX = 32
CRITERIA_MAX = 12
#: Questions of one job, without their repairs.
QUESTIONS_MAX = 1_000
MAX_TOKENS_DEFAULT = 1_024
#: The label of the answer that is planted to ask for the win, and of the checks as a judge.
CANARY, CHECKS = "canary", "checks"

Pair = tuple[str, str]


class Ask(msgspec.Struct, frozen=True):
    """One question: to the judge at a place of the panel; of two answers as shown, or of all."""

    judge: Variant
    place: int
    shown: tuple[str, ...] = ()


def spec_of(plan: Plan) -> JudgeSpec:
    """Who judges, and by what: a plan that was checked names them."""
    if plan.judge is None:
        raise InvariantError("a judged plan has no judges, though it was checked at submit")
    return plan.judge


def levels(spec: JudgeSpec) -> list[list[tuple[int, Variant]]]:
    """The judges with their places, in the groups that are asked one after another."""
    panel = list(enumerate(spec.judges))
    groups = [panel] if spec.escalate_below is None else [panel[:1], panel[1:]]
    return [group for group in groups if group]


def asks(
    spec: JudgeSpec, level: Sequence[tuple[int, Variant]], pairs: Sequence[Pair], seed: str
) -> list[Ask]:
    """The questions of a level; pairs, where they are compared, in both orders."""
    if spec.scoring == "rubric":
        return [Ask(judge, place) for place, judge in level]
    found = []
    for place, judge in level:
        planted = _canary_pair(spec, pairs, (seed, "canary", str(place)))
        for one, other in [*pairs, *planted]:
            found += [Ask(judge, place, (one, other)), Ask(judge, place, (other, one))]
    return found


def _canary_pair(spec: JudgeSpec, pairs: Sequence[Pair], seed: Sequence[str]) -> list[Pair]:
    if not spec.canary or not pairs:
        return []
    labels = sorted({label for pair in pairs for label in pair})
    return [(labels[Draw(*seed).below(len(labels))], CANARY)]


def pairs_of(
    labels: Sequence[str], spec: JudgeSpec, seed: str, focus: str | None = None
) -> list[Pair]:
    """The pairs that are compared: all, those with `focus`, or as many as are drawn.

    Drawn ones go round a shuffled ring, first of neighbours and then ever further apart, so
    that the first half as many as there are contestants bring everybody into a pair.
    """
    if focus is not None:
        return [(focus, label) for label in labels if label != focus]
    every = list(combinations(labels, 2))
    if spec.pairs is None or spec.pairs >= len(every):
        return every
    ring, count = Draw(seed, "pairs").order(labels), len(labels)
    drawn: list[frozenset[str]] = []
    for distance in range(1, count // 2 + 1):
        starts = [*range(0, count, 2), *range(1, count, 2)] if distance == 1 else range(count)
        drawn += [frozenset((ring[start], ring[(start + distance) % count])) for start in starts]
    chosen = set(list(dict.fromkeys(drawn))[: spec.pairs])
    return [pair for pair in every if frozenset(pair) in chosen]


def judge_calls(
    spec: JudgeSpec, contestants: int, *, star: bool = False
) -> list[tuple[Variant, int]]:
    """Every call that judging may take, with how many answers it reads.

    Each question twice: its verdict, and a repair that also reads the first answer. `star`: one
    contestant is compared with each other one, and those not among themselves.
    """
    if spec.scoring == "rubric":
        shown, questions = contestants + spec.canary, 1
    else:
        every = contestants - 1 if star else contestants * (contestants - 1) // 2
        shown, questions = 2, 2 * (min(spec.pairs or every, every) + spec.canary)
    judges = [
        msgspec.structs.replace(judge, params=sized(judge.params, shown, len(spec.criteria)))
        for judge in spec.judges
    ]
    return [
        (judge, reads) for judge in judges for _ in range(questions) for reads in (shown, shown + 1)
    ]


def sized(params: Params, contestants: int, criteria: int) -> Params:
    """A judge's parameters, with room for a verdict on so many where none was set."""
    if params.max_tokens is not None:
        return params
    room = 256 + contestants * (96 + 12 * criteria)
    return msgspec.structs.replace(params, max_tokens=max(MAX_TOKENS_DEFAULT, room))


def check_judges(
    spec: JudgeSpec,
    contestants: Collection[ModelRef],
    labels: Sequence[str],
    *,
    star: bool = False,
) -> None:
    """Judges that are none of their own answers unless allowed, and settings that fit together.

    Raises:
        InvalidRequestError: with the field at fault in `param`.
    """
    if not (1 - bool(spec.checks)) <= len(spec.judges) <= JUDGES_MAX:
        raise _invalid(
            "judge.judges",
            f"there may be 1 to {JUDGES_MAX} judges, and none only where there are checks",
        )
    check_labels(spec.judges, param="judge.judges")
    for place, judge in enumerate(spec.judges):
        where = f"judge.judges[{place}]"
        if judge.ref in contestants and not spec.allow_self:
            raise _invalid(
                where,
                f"{judge.ref} is a contestant; choose another judge, or set "
                "judge.allow_self and its own answers will be marked",
            )
        if spec.checks and judge.label == CHECKS:
            raise _invalid(where, f"{CHECKS!r} is what the checks are called in verdicts")
    _check_criteria(spec.criteria)
    check_checks(spec.checks)
    _check_scoring(spec, labels, star=star)


def _check_scoring(spec: JudgeSpec, labels: Sequence[str], *, star: bool) -> None:
    count = len(labels)
    if spec.pairs is not None:
        if spec.scoring != "pairwise" or star:
            raise _invalid("judge.pairs", "it is for the scoring pairwise of the mode judge")
        if not (count + 1) // 2 <= spec.pairs <= count * (count - 1) // 2:
            raise _invalid(
                "judge.pairs",
                f"{count} contestants take {(count + 1) // 2} to {count * (count - 1) // 2}: "
                "everybody is in a pair, and no pair is compared twice",
            )
    if spec.scoring == "pairwise" and not spec.judges:
        raise _invalid("judge.scoring", "pairwise takes a judge; checks alone are a rubric")
    if spec.escalate_below is not None and len(spec.judges) + bool(spec.checks) < 2:  # noqa: PLR2004 - levels
        raise _invalid("judge.escalate_below", "a cascade takes checks and a judge, or two judges")
    if spec.canary and (CANARY in labels or not spec.judges):
        raise _invalid("judge.canary", f"it takes a judge, and that no label is {CANARY!r}")
    if len(judge_calls(spec, count, star=star)) > 2 * QUESTIONS_MAX:
        raise _invalid(
            "judge", f"a job may put {QUESTIONS_MAX} questions to judges; set judge.pairs"
        )


def _check_criteria(criteria: Sequence[str]) -> None:
    if len(criteria) > CRITERIA_MAX:
        raise _invalid("judge.criteria", f"there may be at most {CRITERIA_MAX}")
    for place, criterion in enumerate(criteria):
        where = f"judge.criteria[{place}]"
        if not criterion.strip():
            raise _invalid(where, "a criterion needs words")
        if criterion in criteria[:place]:
            raise _invalid(where, "this criterion is listed before")


def _invalid(param: str, problem: str) -> InvalidRequestError:
    return InvalidRequestError(f"{param}: {problem}", param=param)
