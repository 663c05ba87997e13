"""The leaderboard for a spreadsheet."""

import csv
import io

from app.reports.leaderboard_csv import as_csv
from tests.factories.reports import make_report, make_row


def test_a_contestant_is_a_row_and_what_is_not_known_is_empty() -> None:
    rows = list(
        csv.DictReader(
            io.StringIO(
                as_csv(
                    make_report(
                        make_row("a", score=8.0),
                        make_row("b", None, 1.0, cost_nanos=None, rating=None),
                    )
                )
            )
        )
    )
    assert [row["label"] for row in rows] == ["a", "b"]
    assert (rows[0]["score"], rows[0]["score_low"], rows[0]["cost_nanos"]) == (
        "8.0",
        "7.5",
        "5000000",
    )
    assert (rows[1]["rank"], rows[1]["rating"], rows[1]["cost_nanos"]) == ("", "", "")


def test_e1_a_label_is_no_formula() -> None:
    (row,) = csv.DictReader(io.StringIO(as_csv(make_report(make_row('=HYPERLINK("x")')))))
    assert row["label"] == '\'=HYPERLINK("x")'
