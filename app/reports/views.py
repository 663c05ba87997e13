"""The answers of the API, as they are on the wire; the report's are in `report_views`.

Fields may be added, and never renamed.

Amounts are integer nanodollars, moments ISO 8601 in UTC; None says "not known" or "not yet",
and never stands for 0.
"""

from datetime import datetime
from typing import Annotated, Any, Literal

import msgspec

from app.domain.prompt import Prompt

_VERDICT = msgspec.Meta(
    description="The winner, each contestant's score, rank and reasoning, an overall word, how "
    "many judges abstained, and under `judges` what each of them gave."
)


_SYNTHESIS = msgspec.Meta(
    description="A blend's answer: its text, the strategy and synthesizer, which answers went into "
    "it, and whether it fell back to the best candidate by rule, with the reason."
)
_ROUTE = msgspec.Meta(
    description="A mesh's way: each model that was tried, skipped or successful, with status code "
    "and latency."
)


class ErrorView(msgspec.Struct, frozen=True, kw_only=True):
    """Why something ended as it did: one machine-readable word, and words for a person."""

    reason: str
    message: str | None = None


class WaitingOn(msgspec.Struct, frozen=True, kw_only=True):
    """What a batch waits for just now: until when, if that is known, and for which lane."""

    reason: str
    until: datetime | None = None
    lane: str | None = None


class JobCounts(msgspec.Struct, frozen=True, kw_only=True):
    """A batch's jobs by state."""

    total: int
    queued: int
    running: int
    succeeded: int
    failed: int
    cancelled: int
    expired: int


class CallCounts(msgspec.Struct, frozen=True, kw_only=True):
    """A batch's calls so far; later rounds add to the total."""

    total: int
    closed: int
    cached: int = 0  # of those closed, how many took an earlier answer


class Counts(msgspec.Struct, frozen=True, kw_only=True):
    """How far a batch is."""

    jobs: JobCounts
    calls: CallCounts


class CostView(msgspec.Struct, frozen=True, kw_only=True):
    """A batch's money. `spent_nanos` leaves out `unpriced_calls`, whose price nobody knows.

    `wasted_nanos` is the part of it that bought answers which could not be read.
    """

    spent_nanos: int
    spent_usd: str
    reserved_nanos: int
    cap_nanos: int | None
    overrun_nanos: int
    unpriced_calls: int
    unknown_attempts: int
    possible_duplicate_nanos: int
    wasted_nanos: int = 0


class ModelView(msgspec.Struct, frozen=True, kw_only=True):
    """A contestant or a judge of a batch."""

    label: str
    model: str


class TextGone(msgspec.Struct, frozen=True):
    """Why and when a batch's text was destroyed: results, report and retry are no more."""

    reason: str
    at: datetime


class BatchView(msgspec.Struct, frozen=True, kw_only=True):
    """One batch: its settings, its state and how far it is.

    `sample` is how many jobs run before it waits; None if it runs whole, or was resumed since.
    """

    id: str
    object: Literal["batch"] = "batch"
    name: str | None
    mode: str
    state: str
    paused: bool
    waiting_on: WaitingOn | None
    ending: str | None
    counts: Counts
    cost: CostView
    eta_s: int | None
    created_at: datetime
    not_before: datetime | None
    deadline: datetime | None
    started_at: datetime | None
    closed_at: datetime | None
    retry_of: str | None
    priority: int
    sample: int | None
    stop_if_failed_percent: int | None
    cache: bool
    retention: str
    sealed: bool
    text_gone: TextGone | None
    models: list[ModelView]
    judges: list[ModelView]
    metadata: dict[str, str]


class UsageView(msgspec.Struct, frozen=True, kw_only=True):
    """Tokens a completion used; `estimated` where the provider told nothing usable."""

    input_tokens: int
    cache_read_tokens: int
    cache_write_tokens: int
    output_tokens: int
    reasoning_tokens: int
    estimated: bool


class CompletionView(msgspec.Struct, frozen=True, kw_only=True):
    """How one closed call ended.

    A call that was not answered has an error, and neither text nor usage. `cost_nanos` is
    None where it is not known: the model has no known price, or the request left and its
    answer never came. Each of `unknown_attempts` may have been paid for beside the answer.

    `cached` says that nothing was sent: the answer is that of an earlier call that asked the
    same. It is billed to nobody (`cached`), and used and cost nothing.
    """

    call_id: str
    label: str
    provider: str
    model: str
    model_returned: str | None
    role: str
    state: str
    text: str | None
    reasoning: str | None
    tool_calls: list[dict[str, Any]] | None
    finish_reason: str | None
    flags: list[str]
    usage: UsageView | None
    cost_nanos: int | None
    billed: str
    latency_ms: int | None
    attempts: int
    unknown_attempts: int
    cached: bool
    error: ErrorView | None


class ResultLine(msgspec.Struct, frozen=True, kw_only=True):
    """One job and everything that came of it.

    `error` says why a job ended without success; `note` says what is special about one that
    did not fail, e.g. `too_few_answers`. `cost_nanos` is None where a part of it is not known.
    """

    custom_id: str
    job_id: str
    mode: str
    state: str
    completions: list[CompletionView]
    verdict: Annotated[msgspec.Raw | None, _VERDICT]
    synthesis: Annotated[msgspec.Raw | None, _SYNTHESIS]
    route: Annotated[msgspec.Raw | None, _ROUTE]
    cost_nanos: int | None
    error: ErrorView | None
    note: ErrorView | None


class AttemptView(msgspec.Struct, frozen=True, kw_only=True):
    """One HTTP try of a call."""

    epoch: int
    state: str
    status_code: int | None
    reason: str | None
    message: str | None
    request_id: str | None
    latency_ms: int | None
    cost_nanos: int | None
    started_at: datetime
    finished_at: datetime | None


class CallView(msgspec.Struct, frozen=True, kw_only=True):
    """One call with every attempt; `meta` is what its mode noted, e.g. a judge's shuffle.

    `wait_reason` and `due_at` are set while it waits.
    """

    call_id: str
    round: int
    role: str
    label: str
    provider: str
    model: str
    lane: str
    state: str
    wait_reason: str | None
    due_at: datetime | None
    error: ErrorView | None
    meta: dict[str, Any] | None
    created_at: datetime
    closed_at: datetime | None
    attempts: list[AttemptView]


class JobView(ResultLine, frozen=True, kw_only=True):
    """One job: its result line, what it asked, and all that was tried."""

    object: Literal["job"] = "job"
    batch_id: str
    position: int
    round: int
    closed_at: datetime | None
    prompt: Prompt | None
    calls: list[CallView]
