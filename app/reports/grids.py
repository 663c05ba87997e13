"""The tables of a report as a person reads them, the same wherever they are shown."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

from app.reports import figures
from app.reports.judged_views import JudgeTrustView
from app.reports.report_views import ContestantView, ReportView


class Grid(NamedTuple):
    """A table to show, whose first columns, so many, hold names; one without rows is none."""

    head: Sequence[str]
    rows: Sequence[Sequence[object]]
    names: int = 1

    def __bool__(self) -> bool:
        return bool(self.rows)


_Cell = Callable[[ContestantView], object]
_JUDGED: dict[str, _Cell] = {
    "score [95 %]": lambda row: figures.points(row.score) + (" (self)" if row.self_judged else ""),
    "wins [95 %]": lambda row: figures.share(row.win_share),
    "rating [95 %]": lambda row: figures.rating(row.rating),
}
#: Columns that are shown where there is anything in one.
_BAD: dict[str, _Cell] = {
    "refused": lambda row: row.refused,
    "failed": lambda row: row.failed,
    "missing": lambda row: row.missing,
}
_PACE: dict[str, _Cell] = {
    "p50": lambda row: figures.latency(row.latency_p50_ms),
    "p95": lambda row: figures.latency(row.latency_p95_ms),
    "tokens in": lambda row: f"{row.input_tokens:,}",
    "tokens out": lambda row: f"{row.output_tokens:,}",
    "cost": lambda row: figures.money(row.cost_nanos),
    "per answer": lambda row: (
        figures.about_money(row.cost_per_answer_nanos) if row.answered else ""
    ),
}


def leaderboard(view: ReportView) -> Grid:
    """How good each contestant is, and how often it answered."""
    rows = view.leaderboard
    columns: dict[str, _Cell] = {"model": _label}
    if any(row.rank is not None for row in rows):
        columns |= {"#": _place} | _JUDGED
    columns["answered"] = lambda row: row.answered
    columns |= {name: cell for name, cell in _BAD.items() if any(map(cell, rows))}
    if any(row.coverage < 1 for row in rows):
        columns["coverage"] = lambda row: f"{row.coverage:.0%}"
    return _grid(rows, columns)


def pace(view: ReportView) -> Grid:
    """How fast each contestant is, and what it cost."""
    return _grid(view.leaderboard, {"model": _label} | _PACE)


def wins(view: ReportView) -> Grid:
    """Who beat whom."""
    found = view.wins
    if found is None:
        return Grid([], [])
    rows = [
        [label, *(_win(share, count) for share, count in zip(shares, counts, strict=True))]
        for label, shares, counts in zip(found.labels, found.shares, found.comparisons, strict=True)
    ]
    return Grid(["", *found.labels], rows)


def tests(view: ReportView) -> Grid:
    """Whether every two differ."""
    rows = [
        [
            *(one.first, one.second, one.finding, figures.difference(one)),
            *(figures.chance(one.p_adjusted), one.prompts),
        ]
        for one in view.tests
    ]
    return Grid(["model", "against", "it is", "points [95 %]", "p", "prompts"], rows, names=2)


def trust(view: ReportView) -> Grid:
    """How each judge did, and where it is not to be trusted."""
    found = {one.label: one for one in view.trust.judges} if view.trust else {}
    rows = [
        [
            *(judge.label, judge.verdicts, judge.abstained, judge.repaired),
            figures.share(found[judge.label].flip_rate),
            figures.gained(found[judge.label].length_slope),
            figures.gained(found[judge.label].self_preference),
            _fooled(found[judge.label]),
        ]
        for judge in view.judges
        if judge.label in found
    ]
    head = ["judge", "verdicts", "abstained", "asked again", "changed its mind"]
    return Grid([*head, "points for twice the length", "points for its own", "fooled"], rows)


def agreement(view: ReportView) -> Grid:
    """How far every two judges agree on who is better."""
    rows = [
        [one.first, one.second, figures.number(one.kappa), f"{one.agreed:.0%}", one.comparisons]
        for one in (view.trust.agreement if view.trust else ())
    ]
    return Grid(["judge", "and judge", "kappa", "agree on", "comparisons"], rows, names=2)


def styled(view: ReportView) -> Grid:
    """The ratings, and what they would be if all answers were equally long."""
    rated = [(row.label, row.rating) for row in view.leaderboard if row.rating is not None]
    rows = [
        [
            label,
            figures.rating(one),
            f"{one.styled:.0f} [{one.styled_low:.0f}, {one.styled_high:.0f}]",
        ]
        for label, one in rated
        if one.styled is not None
    ]
    return Grid(["model", "rating [95 %]", "at equal length [95 %]"], rows)


def failures(view: ReportView) -> Grid:
    """Why there are answers missing."""
    rows = [[one.label, one.reason, one.calls] for one in view.failures]
    return Grid(["model", "no answer because of", "calls"], rows, names=2)


def costs(view: ReportView) -> Grid:
    """What each stage cost."""
    rows: list[list[object]] = [
        [one.stage, one.answers, figures.money(one.cost_nanos)] for one in view.costs
    ]
    rows.append(["everything", "", figures.money(view.cost.spent_nanos)])
    return Grid(["stage", "answers", "cost"], rows)


def levels(view: ReportView) -> Grid:
    """What each level of a cascade decided and cost."""
    rows = [
        [one.level, one.decided, one.answers, figures.money(one.cost_nanos)] for one in view.levels
    ]
    return Grid(["level", "jobs decided", "answers", "cost"], rows)


#: Every table, by the name that a page knows it by.
ALL: Mapping[str, Callable[[ReportView], Grid]] = {
    make.__name__: make
    for make in (
        leaderboard, pace, wins, tests, trust, agreement, styled, failures, costs, levels,
    )
}  # fmt: skip


def trust_lines(view: ReportView) -> Iterator[str]:
    """What the judges come to together, as far as that is known."""
    found = view.trust
    if found is None:
        return
    if found.alpha is not None:
        yield (
            f"Krippendorff's alpha of the panel's scores is {figures.number(found.alpha)}, and "
            f"{figures.number(found.alpha_ordinal)} of their order alone; 1 is full agreement, and "
            "below 0.67 the judges measure different things."
        )
    if found.length_slope is not None:
        yield f"Twice the length of an answer goes with {figures.gained(found.length_slope)} points."


def _grid(rows: Sequence[ContestantView], columns: Mapping[str, _Cell]) -> Grid:
    return Grid(list(columns), [[cell(row) for cell in columns.values()] for row in rows])


def _label(row: ContestantView) -> str:
    return row.label


def _place(row: ContestantView) -> str:
    if row.rank is None:
        return figures.NOTHING
    return f"{row.rank} (undecided)" if row.undecided else str(row.rank)


def _win(share: float | None, count: int) -> str:
    return "" if share is None else f"{share:.0%} of {count}"


def _fooled(judge: JudgeTrustView) -> str:
    return f"{judge.fooled} of {judge.canaries}" if judge.canaries else figures.NOTHING
