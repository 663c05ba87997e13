"""The leaderboard, with every number worked out by hand."""

import pytest

from app.db import Store
from app.domain.errors import NotFoundError
from app.models import Account, Batch
from app.reports.leaderboard import report
from app.reports.report_views import ContestantView, ReportView
from tests.factories import Answer, make_batch, make_call, make_job, make_verdict
from tests.factories.plans import make_judge_plan, make_plan

A, B, JUDGE = "acme/a", "acme/b", "jury/one"
PLAN = make_judge_plan(A, B, judges=[JUDGE])


def report_of(store: Store, account: Account, batch: Batch) -> ReportView:
    with store.read() as session:
        return report(session, account.id, batch.id)


@pytest.fixture
def judged(store: Store, account: Account) -> ReportView:
    """A wins one job, B another, one is a tie; on the fourth B failed and nothing was judged."""
    with store.transaction() as tx:
        batch = make_batch(tx, account, PLAN, state="completed", name="nightly")
        for scores in ({A: 9.0, B: 5.0}, {A: 7.0, B: 7.0}, {A: 6.0, B: 9.0}):
            job = make_job(tx, batch)
            make_call(tx, job, A, answer=Answer(cost_nanos=1_000))
            make_call(tx, job, B, answer=Answer(cost_nanos=2_000, output_tokens=5))
            make_call(tx, job, JUDGE, role="judge", round=2, answer=Answer(cost_nanos=10))
            make_verdict(tx, job, scores, judge=JUDGE)
        job = make_job(tx, batch, reason="too_few_answers")
        make_call(tx, job, A, answer=Answer(cost_nanos=1_002))
        make_call(tx, job, B, state="failed", reason="timeout")
    return report_of(store, account, batch)


@pytest.fixture
def first(judged: ReportView) -> ContestantView:
    """A, which is ahead."""
    return judged.leaderboard[0]


@pytest.fixture
def second(judged: ReportView) -> ContestantView:
    """B."""
    return judged.leaderboard[1]


def test_the_best_mean_is_first(first: ContestantView, second: ContestantView) -> None:
    assert (first.rank, first.label, second.rank, second.label) == (1, A, 2, B)
    assert first.score is not None
    assert second.score is not None
    assert first.score.value == pytest.approx(22 / 3)
    assert second.score.value == pytest.approx(7.0)


def test_a_mean_has_its_interval_within_the_scale(second: ContestantView) -> None:
    # 5, 7 and 9: s = 2, so 7 - 4.302653 * 2 / sqrt(3); the other end is beyond 10.
    assert second.score is not None
    assert second.score.low == pytest.approx(2.031725, abs=1e-5)
    assert (second.score.high, second.score.prompts) == (10, 3)


def test_a_tie_is_shared_between_its_winners(first: ContestantView, second: ContestantView) -> None:
    for row in (first, second):
        assert row.win_share is not None
        # 1.5 of 3; Wilson with z = 1.96 gives 0.5 -+ 0.37467.
        assert row.win_share.value == 0.5
        assert row.win_share.low == pytest.approx(0.12533, abs=1e-5)
        assert row.win_share.high == pytest.approx(0.87467, abs=1e-5)


def test_a_failure_is_counted_as_such_and_not_scored(
    first: ContestantView, second: ContestantView
) -> None:
    assert (first.answered, first.failed, first.refused, first.missing) == (4, 0, 0, 0)
    assert (second.answered, second.failed, second.refused, second.missing) == (3, 1, 0, 0)
    assert (first.coverage, second.coverage) == (0.75, 0.75)


def test_places_that_missing_scores_could_change_are_undecided(judged: ReportView) -> None:
    # A is within 22/40 and 32/40, B within 21/40 and 31/40.
    assert [row.undecided for row in judged.leaderboard] == [True, True]
    assert any("undecided" in note for note in judged.notes)


def test_cost_is_whole_and_by_answer_rounded_up(
    first: ContestantView, second: ContestantView
) -> None:
    assert (first.cost_nanos, first.cost_per_answer_nanos) == (4_002, 1_001)
    assert (second.cost_nanos, second.cost_per_answer_nanos) == (6_000, 2_000)


def test_tokens_are_added_up(first: ContestantView, second: ContestantView) -> None:
    assert (first.input_tokens, first.output_tokens) == (40, 80)
    assert (second.input_tokens, second.output_tokens) == (30, 15)


def test_each_stage_has_its_cost(judged: ReportView) -> None:
    assert [(one.stage, one.answers, one.cost_nanos) for one in judged.costs] == [
        ("candidates", 7, 10_002),
        ("judges", 3, 30),
    ]
    assert judged.cost.spent_nanos == 10_032


def test_it_says_what_it_is_about(judged: ReportView) -> None:
    assert (judged.object, judged.mode, judged.name) == ("report", "judge", "nightly")
    assert (judged.jobs.total, judged.jobs.succeeded, judged.judged) == (4, 4, 3)
    assert not judged.simulated


def test_a_judge_that_abstains_gives_no_score(store: Store, account: Account) -> None:
    panel = make_judge_plan(A, B, judges=[JUDGE, "jury/two"])
    with store.transaction() as tx:
        batch = make_batch(tx, account, panel)
        job = make_job(tx, batch, round=3)
        for round_ in (2, 3):
            make_call(tx, job, "jury/two", role="judge", round=round_)
        make_verdict(tx, job, {A: 9.0, B: 1.0}, judge=JUDGE, abstained=1)
        make_verdict(tx, make_job(tx, batch), {}, abstained=2)
    found = report_of(store, account, batch)
    assert [(one.label, one.verdicts, one.abstained, one.repaired) for one in found.judges] == [
        (JUDGE, 1, 1, 0),
        ("jury/two", 0, 2, 1),
    ]
    assert found.judged == 1
    assert [row.score.prompts for row in found.leaderboard if row.score] == [1, 1]


def test_a_judge_of_its_own_model_is_marked(store: Store, account: Account) -> None:
    with store.transaction() as tx:
        batch = make_batch(tx, account, PLAN)
        make_verdict(tx, make_job(tx, batch), {A: 9.0, B: 1.0}, self_judged=(A,))
    rows = report_of(store, account, batch).leaderboard
    assert [(row.label, row.self_judged) for row in rows] == [(A, True), (B, False)]


def test_what_was_never_asked_is_missing_and_what_was_declined_is_refused(
    store: Store, account: Account
) -> None:
    with store.transaction() as tx:
        batch = make_batch(tx, account, make_plan("compare", A, B))
        job = make_job(tx, batch, state="expired")
        make_call(tx, job, A, state="refused", reason="refusal")
        make_call(tx, job, B, state="expired")
        make_call(tx, make_job(tx, batch, state="running"), B, state="queued")
    first, second = report_of(store, account, batch).leaderboard
    assert (first.answered, first.refused, first.failed, first.missing) == (0, 1, 0, 1)
    assert (second.answered, second.refused, second.failed, second.missing) == (0, 0, 0, 2)


def test_failures_are_counted_by_cause_the_most_first(store: Store, account: Account) -> None:
    with store.transaction() as tx:
        batch = make_batch(tx, account, make_plan("compare", A, B))
        for reason in ("timeout", "rate_limited", "rate_limited"):
            job = make_job(tx, batch)
            make_call(tx, job, A, state="failed", reason=reason)
            make_call(tx, job, B)
    found = report_of(store, account, batch).failures
    assert [(one.label, one.reason, one.calls) for one in found] == [
        (A, "rate_limited", 2),
        (A, "timeout", 1),
    ]


def test_what_is_not_judged_is_ordered_by_answers(store: Store, account: Account) -> None:
    with store.transaction() as tx:
        batch = make_batch(tx, account, make_plan("compare", A, B))
        for state in ("failed", "succeeded"):
            job = make_job(tx, batch)
            make_call(tx, job, A, state=state)
            make_call(tx, job, B)
    rows = report_of(store, account, batch).leaderboard
    assert [(row.label, row.rank, row.coverage) for row in rows] == [(B, None, 1.0), (A, None, 0.5)]
    assert [(row.score, row.win_share, row.undecided) for row in rows] == [(None, None, False)] * 2


def test_an_unknown_price_leaves_the_total_unknown(store: Store, account: Account) -> None:
    with store.transaction() as tx:
        batch = make_batch(tx, account, make_plan("compare", A, B))
        for cost in (500, None):
            job = make_job(tx, batch)
            make_call(tx, job, A, answer=Answer(cost_nanos=cost))
            make_call(tx, job, B, answer=Answer(cost_nanos=7))
    found = report_of(store, account, batch)
    first, second = found.leaderboard
    assert (first.cost_nanos, first.cost_per_answer_nanos, first.unpriced_answers) == (
        None,
        None,
        1,
    )
    assert (second.cost_nanos, second.unpriced_answers) == (14, 0)
    assert [(one.cost_nanos, one.unpriced_answers) for one in found.costs] == [(None, 1)]


def test_latencies_are_the_nearest_that_occurred(store: Store, account: Account) -> None:
    with store.transaction() as tx:
        batch = make_batch(tx, account, make_plan("compare", A, B))
        for place in range(20):
            job = make_job(tx, batch)
            make_call(tx, job, A, answer=Answer(latency_ms=1 + place * 7 % 20))
            if place < 3:
                make_call(tx, job, B, answer=Answer(latency_ms=50))
    first, second = report_of(store, account, batch).leaderboard
    assert (first.latency_p50_ms, first.latency_p95_ms) == (10, 19)
    assert (second.latency_p50_ms, second.latency_p95_ms) == (50, 50)


def test_simulated_models_are_marked_wherever_they_take_part(
    store: Store, account: Account
) -> None:
    with store.transaction() as tx:
        mixed = make_batch(tx, account, make_plan("compare", A, "simulated/gold"))
        by_judge = make_batch(tx, account, make_judge_plan(A, B, judges=["simulated/judge"]))
    found = report_of(store, account, mixed)
    assert found.simulated
    assert [(row.label, row.simulated) for row in found.leaderboard] == [
        (A, False),
        ("simulated/gold", True),
    ]
    assert report_of(store, account, by_judge).simulated


def test_another_account_s_report_is_as_unknown_as_none(
    store: Store, account: Account, stranger: Account
) -> None:
    with store.transaction() as tx:
        batch = make_batch(tx, account, PLAN)
    with (
        store.read() as session,
        pytest.raises(NotFoundError, match=f"^there is no batch '{batch.id}'$"),
    ):
        report(session, stranger.id, batch.id)
