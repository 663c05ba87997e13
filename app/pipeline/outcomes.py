"""How an attempt ended, and what follows from it for its call. Pure: no clock, no store."""

from dataclasses import dataclass
from random import Random

import msgspec

from app.billing.terms import LIST_TERMS, Terms
from app.domain.completion import Completion, Usage
from app.domain.errors import (
    MalformedCompletionError,
    OutcomeUnknownError,
    ProviderError,
    ProviderKeyRefusedError,
    ProviderRateLimitedError,
    ProviderRefusedError,
    ProviderUnavailableError,
)
from app.domain.states import AttemptState, Billed, CallState, Role

BACKOFF_FIRST_S = 1.0
BACKOFF_MAX_S = 60.0
#: A longer wait is not believed of a single call: asking again costs one request.
WAIT_MAX_S = 3600.0
#: A crash count at which a call is suspected, and runs with no other suspect in its process.
SUSPECT_CRASHES = 2
POISON_CRASHES = 3


class ClaimedCall(msgspec.Struct):
    """A call this worker holds, with what it takes to send it and to write what came of it."""

    id: str
    epoch: int
    job_id: str
    batch_id: str
    account_id: str
    lane_id: str
    provider: str
    model: str
    label: str
    role: Role
    billed: Billed
    attempts: int
    unknowns: int
    crash_count: int
    waited_s: float
    max_tokens: int | None
    tokens_bound: int
    worst_nanos: int | None
    worker_id: str
    at_most_once: bool = False
    fail_fast: bool = False
    interactive: bool = False  # somebody waits for it
    sealed: bool = False  # its texts are, and so is what may quote them
    terms: Terms = LIST_TERMS
    single: bool = False  # its job is nothing but this call, and ends with it
    tokens_permitted: int = 0  # what of a token rate its permit was for


class Finished(msgspec.Struct):
    """One attempt's end: what happens to the attempt, to its call, and what was bought.

    `state` is the call's next state; `delay_s` says when it is due again if that is `queued`.
    `completion` and its cost are there if the provider answered. `wasted` is what it used for
    an answer that could not be read, and `wasted_nanos` what that costs, None if nobody knows.
    """

    call: ClaimedCall
    attempt_state: AttemptState
    state: CallState
    latency_ms: int = 0
    delay_s: float = 0.0
    failed: int = 0  # 1 if it counts as a real failure
    unknown: int = 0  # 1 if it may have been bought for nothing
    crashed: int = 0  # 1 if its worker was lost
    wait_reason: str | None = None  # why a queued call waits
    waiting: bool = False  # whether that wait counts towards `wait_max_s`
    reason: str | None = None
    message: str | None = None
    status_code: int | None = None
    request_id: str | None = None
    completion: Completion | None = None
    cost_nanos: int | None = None
    price_version: str | None = None
    wasted: Usage | None = None
    wasted_nanos: int | None = None

    @property
    def closes(self) -> bool:
        """Whether the call is done."""
        return self.state is not CallState.QUEUED

    @property
    def bought(self) -> bool:
        """Whether the provider will want to be paid, be it for an answer that cannot be read."""
        return self.completion is not None or self.wasted is not None

    @property
    def paid_nanos(self) -> int | None:
        """What the attempt cost; None if nothing was bought, or at no known price."""
        return self.cost_nanos if self.wasted is None else self.wasted_nanos


@dataclass(frozen=True, slots=True)
class Policy:
    """The bounds of trying again; `jitter` spreads retries, and is replaced in tests."""

    attempts_max: int
    unknown_resends_max: int
    wait_max_s: float
    jitter: Random = Random()  # noqa: RUF009, S311 - shared on purpose


def backoff_s(policy: Policy, failures: int, floor_s: float | None = None) -> float:
    """Exponential backoff with full jitter in its upper half, never below what was asked for."""
    ceiling = min(BACKOFF_MAX_S, BACKOFF_FIRST_S * 2 ** max(0, failures - 1))
    jittered = policy.jitter.uniform(ceiling / 2, ceiling)
    if floor_s is None:
        return jittered
    return max(jittered, min(floor_s, WAIT_MAX_S) + policy.jitter.uniform(0, 1))


def answered(call: ClaimedCall, completion: Completion, latency_ms: int) -> Finished:
    """The provider answered, be it by declining."""
    refused = completion.state is CallState.REFUSED
    return Finished(
        call,
        AttemptState.SUCCEEDED,
        completion.state,
        latency_ms=latency_ms,
        reason=completion.finish_reason.value if refused else None,
        request_id=completion.request_id,
        completion=completion,
    )


def erred(call: ClaimedCall, error: ProviderError, policy: Policy, latency_ms: int) -> Finished:
    """The attempt failed: what follows from how."""
    match error:
        case ProviderRateLimitedError():
            finished = _wait(call, error, "rate_limited", error.retry_after_s, policy)
        case ProviderKeyRefusedError():
            finished = _wait(call, error, "lane_parked", None, policy)
        case OutcomeUnknownError():
            finished = unknown(call, policy, reason=error.reason, message=error.message)
        case ProviderUnavailableError():
            finished = _failed(call, error, policy, floor_s=error.retry_after_s)
        case MalformedCompletionError():
            finished = _failed(call, error, policy, floor_s=None)
        case ProviderRefusedError() | _:
            finished = _final(call, error)
    if call.fail_fast and not finished.closes:
        # Its mode has another model to try, and sooner than this one is well again.
        finished.state, finished.failed = CallState.FAILED, 1
    finished.latency_ms = latency_ms
    finished.status_code = error.status_code
    finished.request_id = error.request_id
    finished.wasted = error.usage
    return finished


def _final(call: ClaimedCall, error: ProviderError) -> Finished:
    return Finished(
        call,
        AttemptState.FAILED,
        CallState.FAILED,
        failed=1,
        reason=error.reason,
        message=error.message,
    )


def _failed(
    call: ClaimedCall, error: ProviderError, policy: Policy, *, floor_s: float | None
) -> Finished:
    failures = call.attempts + 1
    if failures >= policy.attempts_max:
        return _final(call, error)
    if call.waited_s >= policy.wait_max_s:
        return _gave_up_waiting(call, error)
    return Finished(
        call,
        AttemptState.FAILED,
        CallState.QUEUED,
        failed=1,
        delay_s=backoff_s(policy, failures, floor_s),
        wait_reason="backoff",
        waiting=True,
        reason=error.reason,
        message=error.message,
    )


def _wait(
    call: ClaimedCall, error: ProviderError, why: str, floor_s: float | None, policy: Policy
) -> Finished:
    """Waiting costs no attempt; only a rate limit may last as long as the batch does."""
    counts = why != "rate_limited"
    if counts and call.waited_s >= policy.wait_max_s:
        return _gave_up_waiting(call, error)
    return Finished(
        call,
        AttemptState.FAILED,
        CallState.QUEUED,
        delay_s=backoff_s(policy, 1, floor_s),
        wait_reason=why,
        waiting=counts,
        reason=error.reason,
        message=error.message,
    )


def _gave_up_waiting(call: ClaimedCall, error: ProviderError) -> Finished:
    finished = _final(call, error)
    finished.reason = "provider_unavailable"
    finished.message = f"waited too long; last: {error.message}"
    return finished


def unknown(
    call: ClaimedCall, policy: Policy, *, reason: str, message: str | None, crashed: bool = False
) -> Finished:
    """The request may have been answered and paid for, and we shall never know."""
    finished = Finished(
        call,
        AttemptState.UNKNOWN,
        CallState.QUEUED,
        unknown=1,
        crashed=int(crashed),
        wait_reason="backoff",
        reason=reason,
        message=message,
    )
    resends = 0 if call.at_most_once else policy.unknown_resends_max
    if crashed and call.crash_count + 1 >= POISON_CRASHES:
        finished.state, finished.reason = CallState.FAILED, "poison"
        finished.message = f"{POISON_CRASHES} workers were lost while they sent it"
    elif call.unknowns + 1 > resends:
        finished.state = CallState.FAILED
        if call.at_most_once:
            finished.reason = "outcome_unknown"
    elif not crashed:
        finished.delay_s = backoff_s(policy, call.unknowns + 1)
        finished.waiting = True
    return finished


def given_back(call: ClaimedCall, why: str, delay_s: float = 0.0) -> Finished:
    """Nothing was sent: the call waits as it did before."""
    return Finished(
        call,
        AttemptState.CANCELLED,
        CallState.QUEUED,
        delay_s=delay_s,
        wait_reason=why if delay_s else None,
        reason=why,
    )


def usage_snapshot(one: Finished) -> str | None:
    """What a cost was worked out from: usage as the provider told it, or as we estimated it."""
    completion = one.completion
    if completion is None:
        return None
    if completion.usage_raw is None or completion.usage.estimated:
        return msgspec.json.encode(completion.usage).decode()
    return completion.usage_raw
