"""Events: what a client may be told, and the exact words of it.

OpenAI's own have OpenAI's body, to the letter: the batch's id and nothing else. Ours say with
what number they come in their batch (`seq`) and all that is so at that moment, so that whoever
hears them out of order can drop what is old. Ids, numbers and machine words only: no prompt,
no answer.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

import msgspec

from app.domain.errors import InvalidRequestError
from app.domain.ids import Prefix, job_id

#: Percentages of a batch's closed jobs at which it tells its progress.
PROGRESS_PERCENT = (10, 25, 50, 75, 90)


class EventType(StrEnum):
    """Names on the wire: OpenAI's where it has one, ours with our own prefix."""

    BATCH_COMPLETED = "batch.completed"
    BATCH_FAILED = "batch.failed"
    BATCH_EXPIRED = "batch.expired"
    BATCH_CANCELLED = "batch.cancelled"
    BATCH_STARTED = "overnight.batch.started"
    BATCH_PROGRESS = "overnight.batch.progress"
    BATCH_BUDGET_REACHED = "overnight.batch.budget_reached"
    BATCH_SAMPLE_DONE = "overnight.batch.sample_done"
    LANE_PARKED = "overnight.lane.parked"
    JOB_COMPLETED = "overnight.job.completed"
    ENDPOINT_DISABLED = "overnight.endpoint.disabled"


#: What is told only to those who ask for it by name; and it is not kept if nobody does.
ON_REQUEST = frozenset({EventType.BATCH_STARTED, EventType.BATCH_PROGRESS, EventType.JOB_COMPLETED})
DEFAULT_TYPES = tuple(kind for kind in EventType if kind not in ON_REQUEST)


def check_types(given: Sequence[str] | None, *, param: str) -> tuple[EventType, ...]:
    """The event types that a client asks for, each once and in our order; without, the default.

    Raises:
        InvalidRequestError: there is none, or one that there is not.
    """
    if given is None:
        return DEFAULT_TYPES
    known = [kind.value for kind in EventType]
    unknown = [one for one in given if one not in known]
    if unknown or not given:
        said = f"{unknown[0][:100]!r} is no event type" if unknown else "name at least one"
        raise InvalidRequestError(f"{param}: {said}; there are {', '.join(known)}", param=param)
    return tuple(kind for kind in EventType if kind.value in given)


@dataclass(frozen=True, slots=True)
class NewEvent:
    """Something that happened, before it is written.

    Attributes:
        key: the same for the same happening, however often it is recorded.
        data: ids and machine words only: the client fetches the rest.
        shows_batch: whether the batch's `seq` and state are added to it.
    """

    type: EventType
    key: str
    data: Mapping[str, Any]
    happened_at: datetime
    shows_batch: bool = field(default=False, kw_only=True)


def batch_event(kind: str, batch_id: str, happened_at: datetime) -> NewEvent:
    """An event that happens to a batch at most once."""
    shows_batch = kind.startswith("overnight.")
    key = f"{kind}:{batch_id}"
    return NewEvent(EventType(kind), key, {"id": batch_id}, happened_at, shows_batch=shows_batch)


def progress_of(batch_id: str, percent: int, happened_at: datetime) -> NewEvent:
    """So many percent of a batch's jobs are closed; once for each threshold."""
    key = f"{EventType.BATCH_PROGRESS}:{batch_id}:{percent}"
    data = {"id": batch_id, "percent": percent}
    return NewEvent(EventType.BATCH_PROGRESS, key, data, happened_at, shows_batch=True)


def threshold_passed(total: int, before: int, now: int) -> int | None:
    """The highest threshold of progress that lies between two counts of closed jobs."""
    passed = [
        percent for percent in PROGRESS_PERCENT if before * 100 < percent * total <= now * 100
    ]
    return passed[-1] if passed else None


def lane_parked(batch_id: str, lane_id: str, provider: str, parked_at: datetime) -> NewEvent:
    """A lane that a batch waits for was parked; once for each time and batch."""
    key = f"{EventType.LANE_PARKED}:{batch_id}:{lane_id}:{int(parked_at.timestamp())}"
    data = {"id": lane_id, "provider": provider, "batch_id": batch_id}
    return NewEvent(EventType.LANE_PARKED, key, data, parked_at, shows_batch=True)


def endpoint_disabled(endpoint_id: str, reason: str, disabled_at: datetime) -> NewEvent:
    """An endpoint is told nothing any more; for the account's others."""
    key = f"{EventType.ENDPOINT_DISABLED}:{endpoint_id}:{int(disabled_at.timestamp())}"
    data = {"id": endpoint_id, "reason": reason}
    return NewEvent(EventType.ENDPOINT_DISABLED, key, data, disabled_at)


def body_of(event_id: str, kind: EventType, happened_at: datetime, data: Mapping[str, Any]) -> str:
    """The exact text that is signed and sent."""
    body = {
        "id": event_id,
        "object": "event",
        "created_at": int(happened_at.timestamp()),
        "type": kind.value,
        "data": data,
    }
    return msgspec.json.encode(body).decode()


#: What our own events say of their batch.
BATCH_COLUMNS = (
    "event_seq", "state", "ending", "paused", "jobs_total", "jobs_queued", "jobs_succeeded",
    "jobs_failed", "jobs_cancelled", "jobs_expired", "calls_total", "calls_closed", "spent_nanos",
    "unpriced_calls",
)  # fmt: skip


def batch_state(values: tuple[Any, ...]) -> dict[str, Any]:
    """A batch as events show it, by the values of `BATCH_COLUMNS`; the names are the API's."""
    row = dict(zip(BATCH_COLUMNS, values, strict=True))
    jobs = {name: row[f"jobs_{name}"] for name in ("total", "queued")}
    ends = {name: row[f"jobs_{name}"] for name in ("succeeded", "failed", "cancelled", "expired")}
    jobs["running"] = jobs["total"] - jobs["queued"] - sum(ends.values())
    return {
        "seq": row["event_seq"],
        "state": row["state"],
        "ending": row["ending"],
        "paused": bool(row["paused"]),
        "counts": {
            "jobs": jobs | ends,
            "calls": {"total": row["calls_total"], "closed": row["calls_closed"]},
        },
        "cost": {"spent_nanos": row["spent_nanos"], "unpriced_calls": row["unpriced_calls"]},
    }


_NOBODY = "0" * 26
_SAMPLE_STATE = (1, "running", None, False, 20, 5, 9, 1, 0, 0, 40, 25, 12_500_000, 0)


def sample_data(kind: EventType) -> dict[str, Any]:
    """What a test of an endpoint sends: the data of an event, about nothing that there is."""
    batch = f"{Prefix.BATCH}_{_NOBODY}"
    state = batch_state(_SAMPLE_STATE)
    lane = {"id": f"{Prefix.LANE}_{_NOBODY}", "provider": "openai", "batch_id": batch}
    job = {"id": job_id(batch, 0), "batch_id": batch, "custom_id": "q1", "state": "succeeded"}
    known: dict[EventType, dict[str, Any]] = {
        EventType.BATCH_PROGRESS: {"id": batch, "percent": 50, **state},
        EventType.LANE_PARKED: lane | state,
        EventType.JOB_COMPLETED: {**job, "seq": 1},
        EventType.ENDPOINT_DISABLED: {"id": f"{Prefix.ENDPOINT}_{_NOBODY}", "reason": "failing"},
    }
    shows_batch = kind.value.startswith("overnight.")
    return known.get(kind, {"id": batch, **(state if shows_batch else {})})
