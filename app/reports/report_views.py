"""The report of a batch, as it is on the wire. Fields may be added, and never renamed."""

from typing import Literal

import msgspec

from app.reports.judged_views import (
    BlendProofView,
    EstimateView,
    LevelView,
    PairedTestView,
    RatingView,
    TrustView,
    WinsView,
)
from app.reports.views import CostView, JobCounts


class ContestantView(msgspec.Struct, frozen=True, kw_only=True):
    """One row of the leaderboard.

    `answered`, `refused`, `failed` and `missing` add up to the jobs that ask it, which are all of
    a batch unless its lines ask for different models: `failed` is what providers or networks
    did, `missing` what was never asked or not asked to the end; neither is a bad answer, and
    neither is scored. `coverage` is the share of them with a score, or with an answer where
    nothing is judged. A model that others fall back to is asked where they have done so.

    `rank` is the place by mean score, and `rating` follows from who won against whom; the two
    may differ. `undecided` says that the scores nobody knows could
    change it. `self_judged` says that a judge of the same model scored it.
    """

    rank: int | None
    label: str
    model: str
    simulated: bool
    answered: int
    refused: int
    failed: int
    missing: int
    coverage: float
    score: EstimateView | None
    win_share: EstimateView | None
    undecided: bool
    self_judged: bool
    addresses_judge: int
    latency_p50_ms: int | None
    latency_p95_ms: int | None
    input_tokens: int
    output_tokens: int
    cost_nanos: int | None
    cost_per_answer_nanos: int | None
    unpriced_answers: int
    rating: RatingView | None = None


class JudgePanelist(msgspec.Struct, frozen=True, kw_only=True):
    """How one judge did: on how many jobs it gave a verdict, abstained, was asked again."""

    label: str
    model: str
    simulated: bool
    verdicts: int
    abstained: int
    repaired: int
    cost_nanos: int | None
    unpriced_answers: int


Stage = Literal["candidates", "judges", "blend"]


class StageCost(msgspec.Struct, frozen=True, kw_only=True):
    """What one stage of the batch cost; None where a price is not known."""

    stage: Stage
    answers: int
    cost_nanos: int | None
    unpriced_answers: int


class FailureView(msgspec.Struct, frozen=True, kw_only=True):
    """How many calls of a contestant brought no answer for one cause; a refusal is one, too."""

    label: str
    state: str
    reason: str
    calls: int


class ReportView(msgspec.Struct, frozen=True, kw_only=True):
    """The leaderboard of a batch, with what it cost and what to keep in mind, in plain words.

    `wins`, `tests` and `trust` are there where something was judged, `levels` where the
    judging was a cascade, `blend` where a blend was.
    """

    object: Literal["report"] = "report"
    batch_id: str
    name: str | None
    mode: str
    state: str
    simulated: bool
    jobs: JobCounts
    judged: int
    leaderboard: list[ContestantView]
    judges: list[JudgePanelist]
    costs: list[StageCost]
    cost: CostView
    notes: list[str]
    wins: WinsView | None = None
    tests: list[PairedTestView] = []
    trust: TrustView | None = None
    levels: list[LevelView] = []
    blend: BlendProofView | None = None
    failures: list[FailureView] = []
