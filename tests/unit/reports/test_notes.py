"""A report says in plain words what its numbers leave out."""

from typing import Any

import msgspec

from app.reports.notes import notes_on
from app.reports.report_views import ContestantView, JudgePanelist, ReportView
from app.reports.views import CostView, JobCounts

ROW = ContestantView(
    rank=1,
    label="acme/a",
    model="acme/a",
    simulated=False,
    answered=10,
    refused=0,
    failed=0,
    missing=0,
    coverage=1.0,
    score=None,
    win_share=None,
    undecided=False,
    self_judged=False,
    addresses_judge=0,
    latency_p50_ms=100,
    latency_p95_ms=100,
    input_tokens=1,
    output_tokens=1,
    cost_nanos=1,
    cost_per_answer_nanos=1,
    unpriced_answers=0,
)
COST = CostView(
    spent_nanos=10,
    spent_usd="0.00000001",
    reserved_nanos=0,
    cap_nanos=None,
    overrun_nanos=0,
    unpriced_calls=0,
    unknown_attempts=0,
    possible_duplicate_nanos=0,
)
JUDGE = JudgePanelist(
    label="jury/one",
    model="jury/one",
    simulated=False,
    verdicts=8,
    abstained=2,
    repaired=0,
    cost_nanos=1,
    unpriced_answers=0,
)
REPORT = ReportView(
    batch_id="batch_1",
    name=None,
    mode="judge",
    state="completed",
    simulated=False,
    jobs=JobCounts(total=10, queued=0, running=0, succeeded=10, failed=0, cancelled=0, expired=0),
    judged=10,
    leaderboard=[ROW],
    judges=[],
    costs=[],
    cost=COST,
    notes=[],
)


def notes(*, ending: str | None = None, **changes: Any) -> list[str]:
    return notes_on(msgspec.structs.replace(REPORT, **changes), ending=ending).notes


def row(**changes: Any) -> list[ContestantView]:
    return [msgspec.structs.replace(ROW, **changes)]


def cost(**changes: Any) -> CostView:
    return msgspec.structs.replace(COST, **changes)


def test_there_is_nothing_to_say_about_a_batch_that_went_well() -> None:
    assert notes() == []


def test_numbers_of_an_open_batch_will_change() -> None:
    jobs = msgspec.structs.replace(REPORT.jobs, queued=3, running=4, succeeded=3)
    assert notes(state="running", jobs=jobs) == [
        "The batch is running, with 3 of 10 jobs closed: these numbers will change."
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
    assert notes(judges=[JUDGE]) == [
        "Judges abstained 2 times; that is no score, not a score of 0."
    ]


def test_what_has_no_known_price_is_in_no_total() -> None:
    assert notes(cost=cost(unpriced_calls=4)) == [
        "The price of 4 answers is not known. They are in no total."
    ]


def test_possible_duplicate_spend_has_its_amount() -> None:
    (note,) = notes(cost=cost(unknown_attempts=3, possible_duplicate_nanos=12_300_000))
    assert note.startswith("Of 3 attempts nobody will know")
    assert "possible duplicate spend, up to $0.0123," in note


def test_possible_duplicate_spend_at_no_known_price_is_not_nought() -> None:
    (note,) = notes(cost=cost(unknown_attempts=1))
    assert "possible duplicate spend, an amount that is not known," in note


def test_an_overrun_has_its_amount_and_its_reason() -> None:
    (note,) = notes(cost=cost(overrun_nanos=20_000_000))
    assert note.startswith("$0.02 was spent beyond the budget or the credits, because")
