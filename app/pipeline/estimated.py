"""What an estimate says, as the API answers it."""

import msgspec

from app.pipeline.doubts import Problem
from app.pipeline.habits import Range


class ModelEstimate(msgspec.Struct, frozen=True):
    """What one model is asked in one role; `cost_nanos` is null where no price is known.

    `cached` of its calls take an earlier answer: they use no tokens and cost nothing.
    """

    model: str
    role: str
    billed: str
    calls: int
    input_tokens: Range
    output_tokens: Range
    cost_nanos: Range | None
    answers_seen: int
    cached: int = 0


class SampleEstimate(msgspec.Struct, frozen=True):
    """What runs before the batch waits for `resume`; the rest of the estimate is all of it."""

    jobs: int
    calls: int
    cost_nanos: Range


class Estimate(msgspec.Struct, frozen=True):
    """What a submission would come to.

    `calls` are those of a run in which nothing fails, `calls_max` what there may be at most.
    `hours` is how long the slowest lane, of provider `slowest`, needs at its limits.
    """

    jobs: int
    calls: int
    calls_max: int
    input_tokens: Range
    output_tokens: Range
    cost_nanos: Range
    byok_nanos: Range
    credits_nanos: Range
    cost_is_complete: bool
    worst_nanos: int
    hours: float
    slowest: str | None
    models: list[ModelEstimate]
    problems: list[Problem]
    notes: list[str]
    sample: SampleEstimate | None = None
