"""A comparison of two batches as Markdown, as CSV, and as a page."""

from collections.abc import Callable, Mapping

from app.reports.against_figures import ANSWERS, SCORES, Cell
from app.reports.against_notes import against_in_one_sentence
from app.reports.against_views import AgainstView, SideView
from app.reports.grids import Grid
from app.reports.leaderboard_csv import table_of
from app.reports.markdown import code, table, text
from app.reports.page import POLICY, template

_COLUMNS = {
    **{name: name for name in ("label", "against_label", "model", "against_model")},
    **{name: name for name in ("score", "against_score")},
    **{name: f"test.{name}" for name in ("difference", "low", "high", "p", "p_adjusted")},
    **{name: f"test.{name}" for name in ("p_equivalent_adjusted", "finding", "prompts")},
    **{name: name for name in ("asked", "answered", "against_answered", "gained", "lost")},
    **{name: name for name in ("p_answered", "p_answered_adjusted")},
    "cost_nanos": "cost_nanos.value",
    "latency_ms": "latency_ms.value",
}


def against_as_csv(view: AgainstView) -> str:
    """A row for each two that are compared; costs and latencies are mean differences."""
    return table_of(view.rows, _COLUMNS)


def against_as_markdown(view: AgainstView) -> str:
    """The comparison in one sentence, its tables and notes."""
    blocks = [
        f"### {_shown(view.batch, text, code)} against {_shown(view.against, text, code)}",
        against_in_one_sentence(view, code),
        _markdown(view, SCORES) if any(row.test for row in view.rows) else "",
        _markdown(view, ANSWERS),
        "\n".join(f"- {text(note)}" for note in view.notes),
    ]
    return "\n\n".join(block for block in blocks if block) + "\n"


def against_as_page(view: AgainstView) -> str:
    """The comparison as one page that needs nothing else."""
    sides = [
        (one.batch_id, one.name or "", one.mode, one.state, one.jobs.total, one.judged)
        for one in (view.batch, view.against)
    ]
    return template("against.html").render(
        policy=POLICY,
        title=f"{_shown(view.batch)} against {_shown(view.against)}",
        view=view,
        sentence=against_in_one_sentence(view),
        scores=_grid(view, SCORES),
        answers=_grid(view, ANSWERS),
        sides=Grid(["batch", "name", "mode", "state", "jobs", "judged"], sides, names=4),
    )


def _shown(
    side: SideView, name: Callable[[str], str] = str, batch_id: Callable[[str], str] = str
) -> str:
    return name(side.name) if side.name else batch_id(side.batch_id)


def _grid(view: AgainstView, columns: Mapping[str, Cell]) -> Grid:
    rows = [
        [row.label, row.against_label, *(cell(row) for cell in columns.values())]
        for row in view.rows
    ]
    return Grid(["model", "against", *columns], rows, names=2)


def _markdown(view: AgainstView, columns: Mapping[str, Cell]) -> str:
    rows = [
        [code(row.label), code(row.against_label), *(cell(row) for cell in columns.values())]
        for row in view.rows
    ]
    return table(["model", "against", *columns], rows, left={0, 1}) if rows else ""
