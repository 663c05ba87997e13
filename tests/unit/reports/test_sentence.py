"""The answer in one sentence says who is better, and never more than the tests do."""

from typing import Any

import pytest

from app.reports.sentence import in_one_sentence
from tests.factories.reports import make_judge, make_report, make_row, make_test

A, B = "acme/a", "acme/b"


@pytest.mark.parametrize(
    ("finding", "words"),
    [
        ("better", "1.00 points more than acme/b (p = 0.002)"),
        ("unclear", "but its lead on acme/b, 1.00 points, may be chance"),
        ("equivalent", "acme/b is equivalent to it, within 0.5 points"),
    ],
)
def test_the_lead_is_told_as_it_was_found(finding: Any, words: str) -> None:
    view = make_report(tests=[make_test(A, B, 1.0, finding=finding)])
    assert words in in_one_sentence(view)


def test_a_test_the_other_way_round_is_read_from_the_leader_s_side() -> None:
    view = make_report(tests=[make_test(B, A, -1.0, finding="worse")])
    assert "1.00 points more than acme/b" in in_one_sentence(view)


def test_a_place_that_missing_scores_could_change_is_said() -> None:
    view = make_report(make_row(A, undecided=True), make_row(B, 2, 5.0))
    assert "scores that are missing could change its place" in in_one_sentence(view)


def test_without_judges_it_tells_who_answered() -> None:
    rows = [make_row(A, None, score=0, answered=40), make_row(B, None, answered=39)]
    view = make_report(*rows, judges=[], tests=[])
    assert in_one_sentence(view) == "acme/a answered most, 40 of 40 jobs, and nothing was judged."


def test_before_the_first_verdict_it_says_so() -> None:
    view = make_report(make_row(A, None), judges=[make_judge("jury/one")], tests=[])
    assert in_one_sentence(view).startswith("Nothing is judged yet")
