"""A report as one page that needs nothing else, and in which all that models wrote is only text."""

import re
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any, NamedTuple

from jinja2 import Environment, PackageLoader, StrictUndefined, Template

from app.reports import figures
from app.reports.charts import charts
from app.reports.details import Details
from app.reports.judged_views import EstimateView
from app.reports.proof import proof_lines
from app.reports.report_views import ContestantView, ReportView
from app.reports.sentence import in_one_sentence

#: Nothing runs, and nothing is loaded but the images that are in the page itself.
POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
#: Control characters, and those that turn the direction of what follows.
_UNSEEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


class Grid(NamedTuple):
    """A table to show; one without rows is none."""

    head: Sequence[str]
    rows: Sequence[Sequence[object]]

    def __bool__(self) -> bool:
        return bool(self.rows)


def as_page(view: ReportView, details: Details) -> str:
    """The report as HTML.

    Raises:
        InvalidRequestError: what draws charts is not installed here.
    """
    trust = view.trust
    return template("report.html").render(
        policy=POLICY,
        title=view.name or view.batch_id,
        view=view,
        details=details,
        sentence=in_one_sentence(view),
        charts=charts(view, details.latencies),
        leaderboard=_leaderboard(view),
        pace=_pace(view),
        proof=list(proof_lines(view.blend)) if view.blend else [],
        wins=_wins(view),
        tests=_tests(view),
        trust=_trust(view),
        trust_line=_trust_line(view),
        agreement=Grid(
            ["judge", "and judge", "kappa", "agree on", "comparisons"],
            [
                [
                    one.first,
                    one.second,
                    figures.number(one.kappa),
                    f"{one.agreed:.0%}",
                    one.comparisons,
                ]
                for one in (trust.agreement if trust else ())
            ],
        ),
        failures=Grid(
            ["model", "no answer because of", "calls"],
            [[one.label, one.reason, one.calls] for one in view.failures],
        ),
        costs=_costs(view),
        made=Grid(
            ["label", "model", "as returned", "parameters", "role"],
            [[one.label, one.model, one.returned, one.params, one.role] for one in details.made],
        ),
        facts=Grid(["what", "is"], list(details.facts.items())),
    )


@cache
def template(name: str) -> Template:
    """One of the pages; in it, whatever is put in is text."""
    environment = Environment(
        loader=PackageLoader("app.reports"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=inert,
    )
    return environment.get_template(name)


def inert(value: Any) -> Any:
    """A value without characters that a reader does not see; escaping is the template's."""
    if type(value) is str:
        return _UNSEEN.sub("\N{REPLACEMENT CHARACTER}", value)
    return value


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


def _leaderboard(view: ReportView) -> Grid:
    rows = view.leaderboard
    columns: dict[str, _Cell] = {"model": lambda row: row.label, "#": _place}
    columns |= (_JUDGED if view.judges else {}) | {"answered": lambda row: row.answered}
    columns |= {name: cell for name, cell in _BAD.items() if any(map(cell, rows))}
    if any(row.coverage < 1 for row in rows):
        columns["coverage"] = lambda row: f"{row.coverage:.0%}"
    return _grid(rows, columns)


def _pace(view: ReportView) -> Grid:
    return _grid(view.leaderboard, {"model": lambda row: row.label} | _PACE)


def _grid(rows: Sequence[ContestantView], columns: Mapping[str, _Cell]) -> Grid:
    return Grid(list(columns), [[cell(row) for cell in columns.values()] for row in rows])


def _place(row: ContestantView) -> str:
    if row.rank is None:
        return figures.NOTHING
    return f"{row.rank} (undecided)" if row.undecided else str(row.rank)


def _wins(view: ReportView) -> Grid:
    wins = view.wins
    if wins is None:
        return Grid([], [])
    rows = [
        [label, *(_win(share, count) for share, count in zip(shares, counts, strict=True))]
        for label, shares, counts in zip(wins.labels, wins.shares, wins.comparisons, strict=True)
    ]
    return Grid(["", *wins.labels], rows)


def _win(share: float | None, count: int) -> str:
    return "" if share is None else f"{share:.0%} of {count}"


def _tests(view: ReportView) -> Grid:
    rows = [
        [
            one.first,
            one.second,
            one.finding,
            figures.signed(one.difference),
            f"{figures.signed(one.low)} to {figures.signed(one.high)}",
            figures.chance(one.p_adjusted),
            one.prompts,
        ]
        for one in view.tests
    ]
    head = ["model", "against", "it is", "points", "95 %", "p", "prompts"]
    return Grid(head, rows)


def _trust(view: ReportView) -> Grid:
    found = {one.label: one for one in view.trust.judges} if view.trust else {}
    rows = [
        [
            judge.label,
            judge.verdicts,
            judge.abstained,
            judge.repaired,
            figures.share(found[judge.label].flip_rate),
            _points(found[judge.label].length_slope),
            _points(found[judge.label].self_preference),
            f"{found[judge.label].fooled} of {found[judge.label].canaries}",
        ]
        for judge in view.judges
        if judge.label in found
    ]
    head = ["judge", "verdicts", "abstained", "asked again", "changed its mind", "twice the length"]
    return Grid([*head, "own model", "fooled"], rows)


def _points(found: EstimateView | None) -> str:
    return figures.NOTHING if found is None else f"{figures.signed(found.value)} points"


def _trust_line(view: ReportView) -> str:
    if view.trust is None:
        return ""
    return (
        f"Krippendorff's alpha of the panel's scores is {figures.number(view.trust.alpha)}; twice the "
        f"length of an answer is worth {_points(view.trust.length_slope)}."
    )


def _costs(view: ReportView) -> Grid:
    rows = [[one.stage, one.answers, figures.money(one.cost_nanos)] for one in view.costs]
    rows += [
        [f"level: {one.level}", one.answers, figures.money(one.cost_nanos)] for one in view.levels
    ]
    rows += [["everything", "", figures.money(view.cost.spent_nanos)]]
    return Grid(["stage", "answers", "cost"], rows)
