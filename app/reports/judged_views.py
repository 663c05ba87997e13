"""What a report says about judging, as it is on the wire. Fields may be added, and never renamed."""

from typing import Literal

import msgspec


class EstimateView(msgspec.Struct, frozen=True, kw_only=True):
    """A number with its 95 % interval, and how many prompts it rests on.

    The interval is None where one prompt tells nothing about the spread.
    """

    value: float
    low: float | None
    high: float | None
    prompts: int


class RatingView(msgspec.Struct, frozen=True, kw_only=True):
    """A Bradley-Terry rating, 1000 + 400 / ln 10 · θ, with 95 % intervals.

    `low` and `high` are by the sandwich error, clustered by prompt; the bootstrap's resample
    prompts. Ratings of different `group`s are not comparable: nothing was compared between them.
    `regularised`: somebody won or lost everything, and a prior bounds the ratings of its group.
    `styled` is the rating if all answers were equally long; None where that cannot be told.
    """

    value: float
    low: float
    high: float
    bootstrap_low: float | None
    bootstrap_high: float | None
    theta: float
    error: float
    comparisons: int
    group: int
    regularised: bool
    styled: float | None = None
    styled_low: float | None = None
    styled_high: float | None = None


class WinsView(msgspec.Struct, frozen=True, kw_only=True):
    """Who beat whom: the row's share of its comparisons with the column, a tie being half.

    None where the two were never compared.
    """

    labels: list[str]
    shares: list[list[float | None]]
    comparisons: list[list[int]]


class PairedTestView(msgspec.Struct, frozen=True, kw_only=True):
    """Whether two contestants differ, on the prompts that both have a score on.

    `difference` is the mean of first less second, in points. `p_adjusted` and
    `p_equivalent_adjusted` hold over all pairs together, by Holm's method; `finding` goes by
    them at 5 %. `equivalent` means that the difference is less than `margin` points.
    """

    first: str
    second: str
    prompts: int
    margin: float
    difference: float | None
    low: float | None
    high: float | None
    p: float | None
    p_adjusted: float | None
    p_equivalent: float | None
    p_equivalent_adjusted: float | None
    finding: Literal["better", "worse", "equivalent", "unclear"]


class KappaView(msgspec.Struct, frozen=True, kw_only=True):
    """How far two judges agree on who is better, of every two contestants on every prompt."""

    first: str
    second: str
    kappa: float | None
    agreed: float
    comparisons: int


class JudgeTrustView(msgspec.Struct, frozen=True, kw_only=True):
    """Where one judge may not be trusted.

    `flip_rate` is the share of pairs on which it changed its mind when the two changed places,
    and `first_preferred` the share of those where it took whoever was shown first, both times;
    `length_slope` how many points twice the length is worth to it; `self_preference` by how
    many points it favours its own model beyond what the other judges do. `fooled` counts the
    canaries, answers that only ask for the win, which it gave it.
    """

    label: str
    flip_rate: EstimateView | None
    first_preferred: float | None
    length_slope: EstimateView | None
    self_preference: EstimateView | None
    canaries: int
    fooled: int


class TrustView(msgspec.Struct, frozen=True, kw_only=True):
    """How far the judges can be trusted.

    Krippendorff's `alpha` and `alpha_ordinal` are of the scores that several judges gave;
    `length_slope` is of the panel's scores; `length_effect` is the coefficient of length in
    the ratings that hold it equal, for one standard deviation of relative length.
    """

    alpha: float | None
    alpha_ordinal: float | None
    agreement: list[KappaView]
    judges: list[JudgeTrustView]
    length_slope: EstimateView | None
    length_effect: EstimateView | None


class LevelView(msgspec.Struct, frozen=True, kw_only=True):
    """One level of a cascade: how many jobs it decided, and what its answers cost.

    `cost_nanos` is None where a price is not known.
    """

    level: Literal["checks", "judge", "panel"]
    decided: int
    answers: int
    cost_nanos: int | None


class ContributionView(msgspec.Struct, frozen=True, kw_only=True):
    """What one source brought: the blend's score less that of the blend made without it."""

    label: str
    difference: EstimateView


class DuelView(msgspec.Struct, frozen=True, kw_only=True):
    """A blend against the best of its sources, on the jobs where both have a score."""

    best: str
    prompts: int
    wins: int
    ties: int
    losses: int
    win_share: EstimateView | None
    difference: EstimateView | None
    p: float | None
    contributions: list[ContributionView]


class JudgedView(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that is worked out from verdicts beyond the leaderboard; ratings are by label."""

    ratings: dict[str, RatingView]
    wins: WinsView
    tests: list[PairedTestView]
    trust: TrustView
    duel: DuelView | None = None


class BlendProofView(msgspec.Struct, frozen=True, kw_only=True):
    """Whether the blend is better than the best of its sources alone, and at what price.

    `duel.best` is the source with the highest mean score of this same batch, which favours it:
    a blend that wins against it wins in spite of that. `both_orders` says that the two were
    compared in both orders; else they were scored in one question, in an order drawn by lot.
    `win_share` counts a tie as half, `difference` is in points. The rest is what the blend
    takes beyond the best source alone: for a job, and for each job that it wins beyond those
    that it loses; None where there is none, or where a price is not known.
    """

    both_orders: bool
    duel: DuelView
    extra_cost_nanos: int | None
    extra_cost_per_win_nanos: int | None
    extra_latency_ms: int | None
    extra_latency_per_win_ms: int | None
