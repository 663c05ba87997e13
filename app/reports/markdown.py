"""A report as Markdown, for a pull request.

Labels and models are the clients' words: they are shown as code, where nothing is a link, an
image, a mention or HTML, and cannot end a row of a table.
"""

import re
from collections.abc import Iterator, Sequence

from app.reports import grids
from app.reports.figures import about_money, latency, money, points, rating, share
from app.reports.grids import Grid
from app.reports.proof import proof_lines
from app.reports.report_views import ContestantView, ReportView
from app.reports.sentence import in_one_sentence

_TICKS = re.compile("`+")
_MEANS_SOMETHING = re.compile(r"([\\`*_{}\[\]<>()#+!|~$&])")
#: What becomes a mention, a reference or a link though it is escaped; a comment parts it.
_ALIVE = re.compile(r"(@|\\#|:(?=//)|\bwww(?=\.))", re.IGNORECASE)


def as_markdown(view: ReportView) -> str:
    """The report in one sentence, its leaderboard, a blend's proof, costs, failures and notes."""
    blocks = [
        f"### {_title(view)}",
        in_one_sentence(view, code),
        _leaderboard(view),
        _proof(view),
        _costs(view),
        *_titled("How sure that is", grids.tests(view)),
        *_titled("The judges", grids.trust(view)),
        *_titled("", grids.agreement(view)),
        *_titled("Why there are answers missing", grids.failures(view)),
        "\n".join(f"- {text(note)}" for note in view.notes),
    ]
    return "\n\n".join(block for block in blocks if block) + "\n"


def code(words: str) -> str:
    """Words as a span of code, on one line, which hold no bar that could end a cell."""
    line = _one_line(words).replace("|", "¦")
    fence = "`" * (1 + max((len(run) for run in _TICKS.findall(line)), default=0))
    return f"{fence} {line} {fence}" if "`" in line or not line else f"{fence}{line}{fence}"


def text(words: str) -> str:
    """Words as they are, on one line, of which nothing is markup."""
    return _ALIVE.sub(r"\1<!-- -->", _MEANS_SOMETHING.sub(r"\\\1", _one_line(words)))


def table(head: Sequence[str], rows: Sequence[Sequence[str]], left: set[int]) -> str:
    """A table; columns in `left` hold words, the others numbers."""
    rule = [":---" if place in left else "---:" for place in range(len(head))]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (head, rule, *rows))


def _one_line(words: str) -> str:
    return "".join(char if char.isprintable() else " " for char in words).strip()


def _title(view: ReportView) -> str:
    return text(view.name) if view.name else code(view.batch_id)


def _leaderboard(view: ReportView) -> str:
    rows = view.leaderboard
    judged = any(row.score is not None for row in rows)
    rated = any(row.rating is not None for row in rows)
    bad = [name for name in ("refused", "failed", "missing") if any(getattr(r, name) for r in rows)]
    ranked = any(row.rank is not None for row in rows)
    head = [*(["#"] if ranked else []), "model"]
    head += ["score [95 %]", "wins [95 %]"] if judged else []
    head += ["rating [95 %]"] if rated else []
    head += ["answered", *bad, "p50", "p95", "cost", "per answer"]
    return table(
        head,
        [list(_cells(row, judged=judged, rated=rated, bad=bad))[not ranked :] for row in rows],
        left={head.index("model")},
    )


def _cells(row: ContestantView, *, judged: bool, rated: bool, bad: Sequence[str]) -> Iterator[str]:
    mark = "?" if row.undecided else ""
    yield f"{row.rank}{mark}" if row.rank is not None else ""
    yield code(row.label)
    if judged:
        yield points(row.score) + (" (self)" if row.self_judged else "")
        yield share(row.win_share)
    if rated:
        yield rating(row.rating)
    yield str(row.answered)
    for name in bad:
        yield str(getattr(row, name))
    yield latency(row.latency_p50_ms)
    yield latency(row.latency_p95_ms)
    yield money(row.cost_nanos)
    yield about_money(row.cost_per_answer_nanos) if row.answered else ""


def _proof(view: ReportView) -> str:
    lines = proof_lines(view.blend, code) if view.blend else ()
    return "\n".join(f"- {line}" for line in lines)


def _costs(view: ReportView) -> str:
    stages = [
        f"{money(one.cost_nanos)} for {one.answers} answers of {one.stage}" for one in view.costs
    ]
    return f"Spent: {money(view.cost.spent_nanos)}; {', '.join(stages)}."


def _titled(title: str, grid: Grid) -> Iterator[str]:
    """A table under its title, if it has a row."""
    if grid:
        rows = [
            [code(str(cell)) if place < grid.names else str(cell) for place, cell in enumerate(row)]
            for row in grid.rows
        ]
        yield f"**{title}**" if title else ""
        yield table(grid.head, rows, left=set(range(grid.names)))
