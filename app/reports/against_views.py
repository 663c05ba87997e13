"""What a comparison of two batches says, as it is on the wire. Fields may be added, never renamed."""

from typing import Literal

import msgspec

from app.reports.judged_views import EstimateView, PairedTestView
from app.reports.views import JobCounts


class SideView(msgspec.Struct, frozen=True, kw_only=True):
    """One of the two batches."""

    batch_id: str
    name: str | None
    mode: str
    state: str
    simulated: bool
    jobs: JobCounts
    judged: int
    spent_nanos: int


class AgainstRow(msgspec.Struct, frozen=True, kw_only=True):
    """One contestant in both batches, on the jobs that both have.

    `score` and `against_score` are means over the jobs on which both have one, and `test` is of
    their difference. `answered` and `against_answered` count the `asked` jobs, on which it was
    asked to the end in both, that it answered; `gained` only here, `lost` only there;
    `p_answered` is McNemar's, and `p_answered_adjusted` holds over all rows, by Holm's method.
    `cost_nanos` and `latency_ms` are mean differences between the answers to the same job, here
    less there; None where there is none, or where a price is not known.
    """

    label: str
    against_label: str
    model: str
    against_model: str
    score: float | None
    against_score: float | None
    test: PairedTestView | None
    asked: int
    answered: int
    against_answered: int
    gained: int
    lost: int
    p_answered: float
    p_answered_adjusted: float
    cost_nanos: EstimateView | None
    latency_ms: EstimateView | None


class AgainstView(msgspec.Struct, frozen=True, kw_only=True):
    """A batch against another one, job by job: the same `custom_id` is the same job.

    What only one of them has is in no number but `only_here` and `only_there`. `other_prompts` is
    how many of the jobs that both have ask something else, or have another reference.
    """

    object: Literal["comparison"] = "comparison"
    batch: SideView
    against: SideView
    jobs: int
    only_here: int
    only_there: int
    other_prompts: int
    rows: list[AgainstRow]
    labels_only_here: list[str]
    labels_only_there: list[str]
    notes: list[str]
