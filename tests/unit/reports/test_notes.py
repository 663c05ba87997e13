"""A report says in plain words what its numbers leave out."""

from typing import Any

import msgspec

from app.reports.notes import notes_on
from app.reports.report_views import ContestantView
from tests.factories.reports import make_cost, make_judge, make_report, make_row

REPORT = make_report(make_row("acme/a"), judges=[])


def notes(*, ending: str | None = None, **changes: Any) -> list[str]:
    return notes_on(msgspec.structs.replace(REPORT, **changes), ending=ending).notes


def row(**changes: Any) -> list[ContestantView]:
    return [make_row("acme/a", **changes)]


def test_there_is_nothing_to_say_about_a_batch_that_went_well() -> None:
    assert notes() == []


def test_numbers_of_an_open_batch_will_change() -> None:
    jobs = msgspec.structs.replace(REPORT.jobs, queued=3, running=4, succeeded=33)
    assert notes(state="running", jobs=jobs) == [
        "The batch is running, with 33 of 40 jobs closed: these numbers will change."
    ]


def test_an_early_end_is_named() -> None:
    assert notes(ending="budget_exhausted") == ["The batch ended early: budget_exhausted."]


def test_simulated_models_are_named_as_what_they_are() -> None:
    (note,) = notes(simulated=True)
    assert note.startswith("Simulated models took part.")


def test_a_failure_is_missing_and_not_bad() -> None:
    assert notes(leaderboard=row(failed=1)) == [
        "1 call of contestants failed. A failure is missing, not a bad answer, and is not scored."
    ]


def test_undecided_places_are_named() -> None:
    (note,) = notes(leaderboard=row(undecided=True))
    assert note.startswith("The places of acme/a are undecided")


def test_a_judge_of_its_own_answers_is_named() -> None:
    assert notes(leaderboard=row(self_judged=True)) == [
        "A judge scored answers of its own model: acme/a."
    ]


def test_abstaining_is_no_score() -> None:
    assert notes(judges=[make_judge("jury/one", verdicts=38, abstained=2)]) == [
        "Judges abstained 2 times; that is no score, not a score of 0."
    ]


def test_what_has_no_known_price_is_in_no_total() -> None:
    assert notes(cost=make_cost(unpriced_calls=4)) == [
        "The price of 4 answers is not known. They are in no total."
    ]


def test_possible_duplicate_spend_has_its_amount() -> None:
    (note,) = notes(cost=make_cost(unknown_attempts=3, possible_duplicate_nanos=12_300_000))
    assert note.startswith("Of 3 attempts nobody will know")
    assert "possible duplicate spend, up to $0.0123," in note


def test_possible_duplicate_spend_at_no_known_price_is_not_nought() -> None:
    (note,) = notes(cost=make_cost(unknown_attempts=1))
    assert "possible duplicate spend, an amount that is not known," in note


def test_an_overrun_has_its_amount_and_its_reason() -> None:
    (note,) = notes(cost=make_cost(overrun_nanos=20_000_000))
    assert note.startswith("$0.02 was spent beyond the budget or the credits, because")
