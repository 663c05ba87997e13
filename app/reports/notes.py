"""What a reader of a report should keep in mind, in plain words."""

from collections.abc import Iterator

import msgspec

from app.domain.money import nanos_to_dollars
from app.domain.states import BATCH_CLOSED
from app.reports.report_views import ReportView

#: Beyond this share of flips a judge goes by the place as much as by the answer.
_FLIPS_MANY = 0.2


def notes_on(
    view: ReportView, *, ending: str | None, cached: int = 0, estimated: int = 0
) -> ReportView:
    """The report with its notes; `cached` calls took an earlier answer.

    Of `estimated` answers no provider told the usage.
    """
    notes = [
        *_about_state(view, ending),
        *_about_rows(view),
        *_about_judges(view),
        *_about_money(view),
    ]
    if cached:
        notes.append(
            f"Used again: {_count(cached, 'answer')} of earlier calls. They cost nothing here, "
            "and are in no latency and no count of tokens."
        )
    if estimated:
        notes.append(
            f"The usage of {_count(estimated, 'answer')} is an estimate of ours, for the provider "
            "told none that can be; so is what is counted as its cost."
        )
    return msgspec.structs.replace(view, notes=notes)


def _about_state(view: ReportView, ending: str | None) -> Iterator[str]:
    if view.state not in BATCH_CLOSED:
        closed = view.jobs.total - view.jobs.queued - view.jobs.running
        yield (
            f"The batch is {view.state}, with {closed} of {view.jobs.total} jobs closed: "
            "these numbers will change."
        )
    if ending is not None:
        yield f"The batch ended early: {ending}."
    if view.simulated:
        yield "Simulated models took part. What they answer, score and cost is made up."


def _about_rows(view: ReportView) -> Iterator[str]:
    failed = sum(row.failed for row in view.leaderboard)
    if failed:
        yield (
            f"{_count(failed, 'call')} of contestants failed. A failure is missing, not a bad "
            "answer, and is not scored."
        )
    if labels := [row.label for row in view.leaderboard if row.undecided]:
        yield (
            f"The places of {', '.join(labels)} are undecided: scores that are missing could "
            "change them."
        )
    if labels := [row.label for row in view.leaderboard if row.self_judged]:
        yield f"A judge scored answers of its own model: {', '.join(labels)}."
    abstained = sum(judge.abstained for judge in view.judges)
    if abstained:
        yield f"Judges abstained {_count(abstained, 'time')}; that is no score, not a score of 0."


def _about_judges(view: ReportView) -> Iterator[str]:
    ratings = [row.rating for row in view.leaderboard if row.rating is not None]
    if any(rating.group > 1 for rating in ratings):
        yield (
            "Not all contestants were compared, directly or through others: the ratings of "
            "different groups are not comparable."
        )
    if any(rating.regularised for rating in ratings):
        yield (
            "Somebody won or lost every comparison, so that ratings would have no bound: a prior "
            "of one game against a mean player holds them."
        )
    for judge in view.trust.judges if view.trust else ():
        if judge.flip_rate is not None and judge.flip_rate.value > _FLIPS_MANY:
            yield (
                f"{judge.label} changed its mind on {judge.flip_rate.value:.0%} of pairs when the "
                "two answers changed places."
            )
        if judge.fooled:
            yield (
                f"{judge.label} gave it to an answer that only asked it for the win, "
                f"{judge.fooled} of {_count(judge.canaries, 'time')}."
            )


def _about_money(view: ReportView) -> Iterator[str]:
    cost = view.cost
    if cost.unpriced_calls:
        yield (
            f"The price of {_count(cost.unpriced_calls, 'answer')} is not known. They are in no "
            "total."
        )
    if cost.unknown_attempts:
        amount = cost.possible_duplicate_nanos
        most = f"up to ${nanos_to_dollars(amount)}" if amount else "an amount that is not known"
        yield (
            f"Of {_count(cost.unknown_attempts, 'attempt')} nobody will know whether a provider "
            f"charged for it: possible duplicate spend, {most}, beside what is shown as spent."
        )
    if cost.wasted_nanos:
        yield (
            f"${nanos_to_dollars(cost.wasted_nanos)} of what was spent bought answers that could "
            "not be read. It is in no model's cost, and no credits were taken for it."
        )
    if cost.overrun_nanos:
        yield (
            f"${nanos_to_dollars(cost.overrun_nanos)} was spent beyond the budget or the credits, "
            "because a provider counted more tokens than the bound it was sent."
        )


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
