"""What a batch cost, stage by stage, and what may have been paid in vain: in every form of a report."""

import contextlib
import io
from collections.abc import Callable

import msgspec
import pytest

from api.cli.report import show_report
from app.reports.details import Details
from app.reports.markdown import as_markdown
from app.reports.notes import notes_on
from app.reports.page import as_page
from app.reports.report_views import ReportView, StageCost
from tests.factories.reports import make_cost, make_report

STAGES = {"candidates": 10_000_000, "judges": 3_210_000, "blend": 4_560_000}


def costly() -> ReportView:
    """A report of a batch that had three stages, an overrun and attempts nobody knows about."""
    cost = make_cost(
        spent_nanos=sum(STAGES.values()),
        overrun_nanos=1_230_000,
        unknown_attempts=2,
        possible_duplicate_nanos=7_890_000,
    )
    costs = [
        StageCost(stage=name, answers=80, cost_nanos=nanos, unpriced_answers=0)
        for name, nanos in STAGES.items()
    ]
    return notes_on(make_report(costs=costs, cost=cost), ending=None)


def printed(view: ReportView) -> str:
    """What the command line shows."""
    with contextlib.redirect_stdout(io.StringIO()) as out:
        show_report(msgspec.to_builtins(view), None)
    return " ".join(out.getvalue().split())


def as_json(view: ReportView) -> str:
    return msgspec.json.encode(view).decode()


def as_html(view: ReportView) -> str:
    return as_page(view, Details())


@pytest.mark.parametrize("show", [printed, as_markdown, as_json, as_html])
def test_stages_overruns_and_possible_duplicates_are_in_every_form(
    show: Callable[[ReportView], str],
) -> None:
    shown = show(costly()).replace("\\$", "$")
    for name, nanos in STAGES.items():
        assert name in shown
        assert f"${nanos / 1e9:g}" in shown or f'"cost_nanos":{nanos}' in shown
    assert "possible duplicate spend, up to $0.00789" in shown
    assert "$0.00123 was spent beyond the budget or the credits" in shown
