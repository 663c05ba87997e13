"""The answer in one sentence says who is better, and never more than the tests do."""

from typing import Any

import msgspec
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


@pytest.mark.parametrize(
    ("state", "words"),
    [
        ("running", "Nothing is judged yet; acme/a"),
        ("completed", "Nothing could be judged; acme/a"),
    ],
)
def test_without_a_verdict_it_says_so(state: str, words: str) -> None:
    view = make_report(make_row(A, None), judges=[make_judge("jury/one")], tests=[], state=state)
    assert in_one_sentence(view).startswith(words)


@pytest.mark.parametrize(("state", "yet"), [("running", " yet"), ("completed", "")])
def test_where_nobody_answered_it_says_only_that(state: str, yet: str) -> None:
    rows = [make_row(label, None, answered=0, failed=40) for label in (A, B)]
    view = make_report(*rows, tests=[], state=state)
    assert in_one_sentence(view) == f"No model has answered any of 40 jobs{yet}."


def test_a_batch_without_jobs_has_nothing_to_compare() -> None:
    jobs = msgspec.structs.replace(make_report().jobs, total=0, succeeded=0)
    view = make_report(make_row(A, None, answered=0), jobs=jobs)
    assert in_one_sentence(view) == "There is nothing to compare."
