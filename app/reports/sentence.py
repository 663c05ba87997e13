"""The answer of a report in one sentence: who is better, and how sure that is."""

from collections.abc import Callable

import msgspec

from app.domain.states import BATCH_CLOSED
from app.reports.figures import about_money, chance, points
from app.reports.judged_views import PairedTestView
from app.reports.report_views import ContestantView, ReportView

Name = Callable[[str], str]


def in_one_sentence(view: ReportView, name: Name = str) -> str:
    """What a reader with no time takes away; `name` writes a label as it is to be shown."""
    ranked = [row for row in view.leaderboard if row.rank is not None]
    if not view.leaderboard or not view.jobs.total:
        return "There is nothing to compare."
    if not ranked:
        return _unjudged(view, name)
    first = ranked[0]
    has = f"{name(first.label)} has the best mean score, {points(first.score)} of 10"
    prompts = first.score.prompts if first.score else 0
    told = f"{has} on {_count(prompts, 'prompt')}"
    if len(ranked) > 1:
        told += _lead(_test_of(view, first.label, ranked[1].label), name(ranked[1].label))
    if first.undecided:
        told += ", and scores that are missing could change its place"
    if first.cost_per_answer_nanos is not None:
        told += f"; an answer of it costs {about_money(first.cost_per_answer_nanos)}"
    return f"{told}."


def _unjudged(view: ReportView, name: Name) -> str:
    first, is_open = view.leaderboard[0], view.state not in BATCH_CLOSED
    answered = f"{first.answered} of {_count(view.jobs.total, 'job')}"
    if not first.answered:
        yet = " yet" if is_open else ""
        return f"No model has answered any of {_count(view.jobs.total, 'job')}{yet}."
    if view.judges:
        judged = "is judged yet" if is_open else "could be judged"
        return f"Nothing {judged}; {name(first.label)} answered {answered}."
    if len(view.leaderboard) == 1:
        return f"{name(first.label)} answered {answered}, and nothing was judged."
    if _all_answered_alike(view.leaderboard):
        return f"Every model answered {answered}, and nothing was judged."
    return f"{name(first.label)} answered most, {answered}, and nothing was judged."


def _all_answered_alike(rows: list[ContestantView]) -> bool:
    return len({row.answered for row in rows}) == 1


def _lead(test: PairedTestView | None, second: str) -> str:
    if test is None or test.difference is None:
        return f"; on no prompt can it be compared with {second}"
    points_ahead = f"{abs(test.difference):.2f} points"
    if test.finding == "better":
        return f", {points_ahead} more than {second} (p = {chance(test.p_adjusted)})"
    if test.finding == "equivalent":
        return f", and {second} is equivalent to it, within {test.margin:g} points"
    if test.finding == "worse":  # where they were compared, which are not all prompts
        return (
            f", though {second} is {points_ahead} better on the prompts that both have a score on"
        )
    return f", but its lead on {second}, {points_ahead}, may be chance"


def _test_of(view: ReportView, first: str, second: str) -> PairedTestView | None:
    """The test of two contestants, as seen from the first."""
    for test in view.tests:
        if (test.first, test.second) == (first, second):
            return test
        if (test.first, test.second) == (second, first):
            return turned(test)
    return None


def turned(test: PairedTestView) -> PairedTestView:
    """The same test, as seen from the other contestant."""
    other = {"better": "worse", "worse": "better"}
    return msgspec.structs.replace(
        test,
        first=test.second,
        second=test.first,
        difference=_negative(test.difference),
        low=_negative(test.high),
        high=_negative(test.low),
        finding=other.get(test.finding, test.finding),
    )


def _negative(value: float | None) -> float | None:
    return None if value is None else -value


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
