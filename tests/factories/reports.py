"""Reports as they come out, without a store."""

from typing import Any

import msgspec

from app.reports.against_views import AgainstRow, AgainstView, SideView
from app.reports.judged_views import (
    BlendProofView,
    ContributionView,
    DuelView,
    EstimateView,
    JudgeTrustView,
    KappaView,
    PairedTestView,
    RatingView,
    TrustView,
    WinsView,
)
from app.reports.report_views import (
    ContestantView,
    FailureView,
    JudgePanelist,
    ReportView,
    StageCost,
)
from app.reports.views import CostView, JobCounts


def make_estimate(value: float, reach: float = 0.5, prompts: int = 40) -> EstimateView:
    """A number with its interval."""
    return EstimateView(value=value, low=value - reach, high=value + reach, prompts=prompts)


def make_row(label: str, rank: int | None = 1, score: float = 7.0, **values: Any) -> ContestantView:
    """A contestant with a score and a rating."""
    row = ContestantView(
        rank=rank,
        label=label,
        model="acme/a",
        simulated=False,
        answered=40,
        refused=0,
        failed=0,
        missing=0,
        coverage=1.0,
        score=make_estimate(score),
        win_share=make_estimate(0.5, 0.1),
        undecided=False,
        self_judged=False,
        addresses_judge=0,
        latency_p50_ms=800,
        latency_p95_ms=2100,
        input_tokens=1200,
        output_tokens=34000,
        cost_nanos=5_000_000,
        cost_per_answer_nanos=125_000,
        unpriced_answers=0,
        rating=make_rating(1000 + 40 * score),
    )
    return msgspec.structs.replace(row, **values)


def make_rating(value: float) -> RatingView:
    """A rating with its intervals."""
    return RatingView(
        value=value,
        low=value - 40,
        high=value + 40,
        bootstrap_low=value - 45,
        bootstrap_high=value + 45,
        theta=0.1,
        error=0.05,
        comparisons=40,
        group=1,
        regularised=False,
    )


def make_test(first: str, second: str, difference: float, **values: Any) -> PairedTestView:
    """A test of two contestants that finds the first better."""
    test = PairedTestView(
        first=first,
        second=second,
        prompts=40,
        margin=0.5,
        difference=difference,
        low=difference - 0.3,
        high=difference + 0.3,
        p=0.001,
        p_adjusted=0.002,
        p_equivalent=0.9,
        p_equivalent_adjusted=0.9,
        finding="better",
    )
    return msgspec.structs.replace(test, **values)


def make_report(*rows: ContestantView, **values: Any) -> ReportView:
    """A closed, judged batch of forty jobs; two contestants unless told."""
    board = list(rows or (make_row("acme/a", 1, 8.0), make_row("acme/b", 2, 7.0)))
    labels = [row.label for row in board]
    view = ReportView(
        batch_id="batch_1",
        name="nightly",
        mode="judge",
        state="completed",
        simulated=False,
        jobs=JobCounts(
            total=40, queued=0, running=0, succeeded=40, failed=0, cancelled=0, expired=0
        ),
        judged=40,
        leaderboard=board,
        judges=[make_judge("jury/one")],
        costs=[
            StageCost(stage="candidates", answers=80, cost_nanos=10_000_000, unpriced_answers=0)
        ],
        cost=make_cost(),
        notes=[],
        wins=WinsView(
            labels=labels,
            shares=[[None if a == b else 0.5 for b in labels] for a in labels],
            comparisons=[[0 if a == b else 40 for b in labels] for a in labels],
        ),
        tests=[
            make_test(one, other, 1.0)
            for place, one in enumerate(labels)
            for other in labels[place + 1 :]
        ],
    )
    return msgspec.structs.replace(view, **values)


def make_judge(label: str, **values: Any) -> JudgePanelist:
    """A judge that gave every verdict."""
    judge = JudgePanelist(
        label=label,
        model=label,
        simulated=False,
        verdicts=40,
        abstained=0,
        repaired=1,
        cost_nanos=7,
        unpriced_answers=0,
    )
    return msgspec.structs.replace(judge, **values)


def make_trust(*judges: str) -> TrustView:
    """Judges that agree quite well, change their mind at times and were fooled once."""
    return TrustView(
        alpha=0.71,
        alpha_ordinal=0.8,
        agreement=[
            KappaView(first=judges[0], second=other, kappa=0.66, agreed=0.81, comparisons=400)
            for other in judges[1:]
        ],
        judges=[
            JudgeTrustView(
                label=judge,
                flip_rate=make_estimate(0.2, 0.1),
                first_preferred=0.6,
                length_slope=make_estimate(0.2, 0.1),
                self_preference=None,
                canaries=40,
                fooled=1,
            )
            for judge in judges
        ],
        length_slope=make_estimate(0.3, 0.1),
        length_effect=make_estimate(0.1, 0.1),
    )


def make_failure(label: str, reason: str, calls: int = 3) -> FailureView:
    """Some calls that failed alike."""
    return FailureView(label=label, state="failed", reason=reason, calls=calls)


def make_cost(**values: Any) -> CostView:
    """A batch's money."""
    cost = CostView(
        spent_nanos=10_000_000,
        spent_usd="0.01",
        reserved_nanos=0,
        cap_nanos=None,
        overrun_nanos=0,
        unpriced_calls=0,
        unknown_attempts=0,
        possible_duplicate_nanos=0,
    )
    return msgspec.structs.replace(cost, **values)


def make_proof(best: str = "acme/a", *contributions: str, **values: Any) -> BlendProofView:
    """A blend that is better than its best source, and dearer."""
    duel = DuelView(
        best=best,
        prompts=30,
        wins=18,
        ties=6,
        losses=6,
        win_share=make_estimate(0.7, 0.15, 30),
        difference=make_estimate(0.8, 0.3, 30),
        p=0.004,
        contributions=[
            ContributionView(label=label, difference=make_estimate(0.25, 0.2, 30))
            for label in contributions
        ],
    )
    proof = BlendProofView(
        both_orders=True,
        duel=duel,
        extra_cost_nanos=1_600_000,
        extra_cost_per_win_nanos=4_000_000,
        extra_latency_ms=900,
        extra_latency_per_win_ms=2250,
    )
    return msgspec.structs.replace(proof, **values)


def make_side(batch_id: str, **values: Any) -> SideView:
    """A closed, judged batch of forty jobs."""
    whole = make_report()
    side = SideView(
        batch_id=batch_id,
        name=None,
        mode="judge",
        state="completed",
        simulated=False,
        jobs=whole.jobs,
        judged=40,
        spent_nanos=10_000_000,
    )
    return msgspec.structs.replace(side, **values)


def make_against_row(label: str, difference: float = 0.5, **values: Any) -> AgainstRow:
    """A contestant that became better, dearer and slower."""
    row = AgainstRow(
        label=label,
        against_label=label,
        model="acme/a",
        against_model="acme/a",
        score=7.0 + difference,
        against_score=7.0,
        test=make_test(label, label, difference),
        asked=40,
        answered=39,
        against_answered=36,
        gained=4,
        lost=1,
        p_answered=0.375,
        p_answered_adjusted=0.375,
        cost_nanos=make_estimate(123_456.7, 1_000.0),
        latency_ms=make_estimate(250.4, 10.0),
    )
    return msgspec.structs.replace(row, **values)


def make_against(*rows: AgainstRow, **values: Any) -> AgainstView:
    """Two batches of the same forty jobs."""
    view = AgainstView(
        batch=make_side("batch_1"),
        against=make_side("batch_0"),
        jobs=40,
        only_here=0,
        only_there=0,
        other_prompts=0,
        rows=list(rows or (make_against_row("acme/a"),)),
        labels_only_here=[],
        labels_only_there=[],
        notes=[],
    )
    return msgspec.structs.replace(view, **values)
