"""The state machine: every state, who moves it on, and the table of allowed moves."""

from enum import StrEnum


class BatchState(StrEnum):
    """Where a batch is."""

    QUEUED = "queued"  # submit made it; plan moves it on when its first jobs have calls
    RUNNING = "running"  # advance closes its jobs; finalize moves it on when none is open
    CANCELLING = "cancelling"  # cancel put it here; finalize moves it on when no job is open
    FINALIZING = "finalizing"  # finalize is closing its books; finalize or reconcile moves it on
    COMPLETED = "completed"
    FAILED = "failed"
    EXPIRED = "expired"
    CANCELLED = "cancelled"


class JobState(StrEnum):
    """Where a job is."""

    QUEUED = "queued"  # submit made it; plan moves it on
    RUNNING = "running"  # has an open round; advance moves it on when the round is done
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"
    EXPIRED = "expired"


class CallState(StrEnum):
    """Where a call is."""

    QUEUED = "queued"  # plan, advance or a retry made it so; dispatch claims it when it is due
    SENDING = "sending"  # a worker holds it; that worker records it, or reconcile gives it back
    SUCCEEDED = "succeeded"
    REFUSED = "refused"  # the model answered by declining; paid for, no answer
    FAILED = "failed"
    CANCELLED = "cancelled"
    EXPIRED = "expired"


class AttemptState(StrEnum):
    """How one HTTP try ended."""

    SENDING = "sending"  # written before the send; the worker closes it, or reconcile does
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"  # claimed, and given back before anything was sent
    UNKNOWN = "unknown"  # sent, and the answer never reached the store


class DeliveryState(StrEnum):
    """Where a delivery is."""

    QUEUED = "queued"  # finalize made it, or an attempt failed; deliver claims it when it is due
    SENDING = "sending"  # a worker holds it; deliver moves it on, or reconcile gives it back
    DELIVERED = "delivered"
    FAILED = "failed"
    CANCELLED = "cancelled"


class LaneState(StrEnum):
    """Whether a lane may be used."""

    OPEN = "open"
    # Its key was refused, and setting the key opens it; or a quota is used up, and time does.
    PARKED = "parked"
    CLOSED = "closed"  # its key was deleted; setting a key opens it


class Role(StrEnum):
    """What a call is for."""

    CANDIDATE = "candidate"
    JUDGE = "judge"
    SYNTHESIZER = "synthesizer"


class Billed(StrEnum):
    """Who pays the provider for a call."""

    BYOK = "byok"
    CREDITS = "credits"
    CACHED = "cached"  # nobody: an earlier answer was used again, and nothing was sent


class Retention(StrEnum):
    """Whether a batch's text outlives its results' pick-up."""

    KEEP = "keep"
    NONE = "none"


class Seal(StrEnum):
    """Whose key texts or a file are sealed under."""

    ACCOUNT = "account"
    BATCH = "batch"  # a key of its own, for what retains nothing


class GoneReason(StrEnum):
    """Why a batch's text was destroyed."""

    ACKNOWLEDGED = "acknowledged"  # by the client, that has the results
    RETENTION_NONE = "retention_none"  # some hours after it closed
    RETENTION_DAYS = "retention_days"  # the account's
    PURGED = "purged"


class EndReason(StrEnum):
    """Why a batch ends before its work is done. Nothing of it is claimed after that."""

    CANCELLED = "cancelled"
    EXPIRED = "expired"
    BUDGET_EXHAUSTED = "budget_exhausted"
    TOO_MANY_FAILED = "too_many_failed"  # more of its first calls than `stop_if_failed_percent`


BATCH_MOVES: dict[BatchState, frozenset[BatchState]] = {
    BatchState.QUEUED: frozenset(
        {BatchState.RUNNING, BatchState.CANCELLING, BatchState.FINALIZING}
    ),
    BatchState.RUNNING: frozenset({BatchState.FINALIZING, BatchState.CANCELLING}),
    BatchState.CANCELLING: frozenset({BatchState.CANCELLED}),
    BatchState.FINALIZING: frozenset({BatchState.COMPLETED, BatchState.FAILED, BatchState.EXPIRED}),
    BatchState.COMPLETED: frozenset(),
    BatchState.FAILED: frozenset(),
    BatchState.EXPIRED: frozenset(),
    BatchState.CANCELLED: frozenset(),
}
JOB_MOVES: dict[JobState, frozenset[JobState]] = {
    JobState.QUEUED: frozenset(
        {JobState.RUNNING, JobState.FAILED, JobState.CANCELLED, JobState.EXPIRED}
    ),
    JobState.RUNNING: frozenset(
        {JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED, JobState.EXPIRED}
    ),
    JobState.SUCCEEDED: frozenset(),
    JobState.FAILED: frozenset(),
    JobState.CANCELLED: frozenset(),
    JobState.EXPIRED: frozenset(),
}
CALL_MOVES: dict[CallState, frozenset[CallState]] = {
    CallState.QUEUED: frozenset(
        {CallState.SENDING, CallState.FAILED, CallState.CANCELLED, CallState.EXPIRED}
    ),
    CallState.SENDING: frozenset(
        {
            CallState.QUEUED,
            CallState.SUCCEEDED,
            CallState.REFUSED,
            CallState.FAILED,
            CallState.CANCELLED,
            CallState.EXPIRED,
        }
    ),
    CallState.SUCCEEDED: frozenset(),
    CallState.REFUSED: frozenset(),
    CallState.FAILED: frozenset(),
    CallState.CANCELLED: frozenset(),
    CallState.EXPIRED: frozenset(),
}
ATTEMPT_MOVES: dict[AttemptState, frozenset[AttemptState]] = {
    AttemptState.SENDING: frozenset(
        {
            AttemptState.SUCCEEDED,
            AttemptState.FAILED,
            AttemptState.CANCELLED,
            AttemptState.UNKNOWN,
        }
    ),
    AttemptState.SUCCEEDED: frozenset(),
    AttemptState.FAILED: frozenset(),
    AttemptState.CANCELLED: frozenset(),
    AttemptState.UNKNOWN: frozenset(),
}
DELIVERY_MOVES: dict[DeliveryState, frozenset[DeliveryState]] = {
    DeliveryState.QUEUED: frozenset(
        {DeliveryState.SENDING, DeliveryState.FAILED, DeliveryState.CANCELLED}
    ),
    DeliveryState.SENDING: frozenset(
        {
            DeliveryState.QUEUED,
            DeliveryState.DELIVERED,
            DeliveryState.FAILED,
            DeliveryState.CANCELLED,
        }
    ),
    DeliveryState.DELIVERED: frozenset(),
    DeliveryState.FAILED: frozenset(),
    DeliveryState.CANCELLED: frozenset(),
}

BATCH_CLOSED = frozenset(state for state, moves in BATCH_MOVES.items() if not moves)
JOB_CLOSED = frozenset(state for state, moves in JOB_MOVES.items() if not moves)
CALL_CLOSED = frozenset(state for state, moves in CALL_MOVES.items() if not moves)
