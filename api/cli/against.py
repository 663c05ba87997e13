"""A report of one batch against another, for people."""

from collections.abc import Mapping
from typing import Any

import msgspec

from api.cli.output import plain, show_table
from app.reports.against_figures import ANSWERS, SCORES, Cell
from app.reports.against_notes import against_in_one_sentence
from app.reports.against_views import AgainstView


def show_against(found: Mapping[str, Any]) -> None:
    """Print what changed between two batches."""
    view = msgspec.convert(found, AgainstView)
    print(against_in_one_sentence(view, plain))
    print()
    if any(row.test is not None for row in view.rows):
        _show(view, "Scores", SCORES)
    if view.rows:
        _show(view, "Answers", ANSWERS)
    for note in view.notes:
        print(f"· {plain(note)}")


def _show(view: AgainstView, title: str, columns: Mapping[str, Cell]) -> None:
    differ = any(row.label != row.against_label for row in view.rows)
    names = ["model", *(["against"] if differ else [])]
    rows = [
        [
            row.label,
            *([row.against_label] if differ else []),
            *(cell(row) for cell in columns.values()),
        ]
        for row in view.rows
    ]
    show_table([*names, *columns], rows, title=title, right=list(columns))
