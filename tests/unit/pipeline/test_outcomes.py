"""What follows from how an attempt ended."""

from random import Random

import pytest

from app.domain.completion import Completion, FinishReason, Usage
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
from app.pipeline.outcomes import (
    BACKOFF_MAX_S,
    ClaimedCall,
    Policy,
    answered,
    backoff_s,
    erred,
    given_back,
    unknown,
)

POLICY = Policy(attempts_max=5, unknown_resends_max=5, wait_max_s=3600, jitter=Random(7))


def make_call(**changes: object) -> ClaimedCall:
    """A claimed call as plain values."""
    values: dict[str, object] = {
        "id": "call_1",
        "epoch": 1,
        "job_id": "job_1",
        "batch_id": "batch_1",
        "account_id": "acct_1",
        "lane_id": "lane_1",
        "provider": "simulated",
        "model": "gold",
        "label": "gold",
        "role": Role.CANDIDATE,
        "billed": Billed.BYOK,
        "attempts": 0,
        "unknowns": 0,
        "crash_count": 0,
        "waited_s": 0.0,
        "max_tokens": None,
        "tokens_bound": 1,
        "worst_nanos": None,
        "worker_id": "wrk_1",
    }
    return ClaimedCall(**{**values, **changes})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("error", "state", "failed", "unknowns"),
    [
        (ProviderRateLimitedError(), CallState.QUEUED, 0, 0),
        (ProviderKeyRefusedError(reason="unauthorized"), CallState.QUEUED, 0, 0),
        (ProviderUnavailableError(reason="server_error"), CallState.QUEUED, 1, 0),
        (MalformedCompletionError(reason="malformed"), CallState.QUEUED, 1, 0),
        (OutcomeUnknownError(reason="timeout"), CallState.QUEUED, 0, 1),
        (ProviderRefusedError(reason="bad_request"), CallState.FAILED, 1, 0),
    ],
)
def test_each_class_of_error_says_what_is_next(
    error: ProviderError, state: CallState, failed: int, unknowns: int
) -> None:
    finished = erred(make_call(), error, POLICY, 12)
    assert (finished.state, finished.failed, finished.unknown) == (state, failed, unknowns)
    assert finished.latency_ms == 12


def test_the_last_failure_is_final() -> None:
    error = ProviderUnavailableError(reason="server_error")
    assert erred(make_call(attempts=3), error, POLICY, 0).state is CallState.QUEUED
    assert erred(make_call(attempts=4), error, POLICY, 0).state is CallState.FAILED


@pytest.mark.parametrize(
    "error",
    [ProviderUnavailableError(reason="server_error"), ProviderKeyRefusedError(reason="key")],
)
def test_waiting_for_a_provider_or_a_key_ends_after_its_bound(error: ProviderError) -> None:
    finished = erred(make_call(waited_s=3601), error, POLICY, 0)
    assert (finished.state, finished.reason) == (CallState.FAILED, "provider_unavailable")


def test_waiting_for_a_rate_limit_may_last_as_long_as_the_batch() -> None:
    finished = erred(make_call(waited_s=10**6), ProviderRateLimitedError(), POLICY, 0)
    assert finished.state is CallState.QUEUED
    assert finished.waiting is False


def test_p1_what_the_provider_asks_for_is_a_floor() -> None:
    finished = erred(make_call(), ProviderRateLimitedError(retry_after_s=2), POLICY, 0)
    assert 2 <= finished.delay_s <= 3


def test_backoff_grows_with_failures_and_stays_bounded() -> None:
    waits = [backoff_s(POLICY, failures) for failures in range(1, 30)]
    assert 0.5 <= waits[0] <= 1
    assert waits[3] > waits[0]
    assert max(waits) <= BACKOFF_MAX_S


def test_a_refusal_is_an_answer_that_was_paid_for() -> None:
    completion = Completion("", FinishReason.REFUSAL, Usage(1, output_tokens=1))
    finished = answered(make_call(), completion, 3)
    assert finished.state is CallState.REFUSED
    assert finished.attempt_state is AttemptState.SUCCEEDED
    assert finished.reason == "refusal"


def test_one_crash_condemns_nothing_and_the_third_is_poison() -> None:
    ends = [
        unknown(
            make_call(crash_count=crashes), POLICY, reason="worker_lost", message=None, crashed=True
        )
        for crashes in range(3)
    ]
    assert [one.state for one in ends] == [CallState.QUEUED, CallState.QUEUED, CallState.FAILED]
    assert ends[2].reason == "poison"
    assert [one.delay_s for one in ends[:2]] == [0, 0]


def test_at_most_once_is_never_resent() -> None:
    call = make_call(at_most_once=True)
    finished = erred(call, OutcomeUnknownError(reason="dropped"), POLICY, 0)
    assert (finished.state, finished.reason) == (CallState.FAILED, "outcome_unknown")


def test_what_is_given_back_unsent_counts_for_nothing() -> None:
    finished = given_back(make_call(), "lease_late")
    assert finished.state is CallState.QUEUED
    assert (finished.failed, finished.unknown, finished.crashed, finished.delay_s) == (0, 0, 0, 0)
    assert finished.attempt_state is AttemptState.CANCELLED


@pytest.mark.parametrize(
    "error",
    [
        ProviderRateLimitedError(retry_after_s=5),
        ProviderUnavailableError(reason="server_error"),
        OutcomeUnknownError(reason="timeout"),
        ProviderKeyRefusedError(reason="unauthorized"),
    ],
)
def test_a_call_whose_mode_has_another_model_to_try_ends_at_its_first_failure(
    error: ProviderError,
) -> None:
    finished = erred(make_call(fail_fast=True), error, POLICY, 4)
    assert finished.state is CallState.FAILED
    assert finished.closes
