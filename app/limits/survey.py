"""What the server knows of lanes, read in one go by whoever shows it. Nothing is changed by it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from redis import Redis

from app.limits.breaker import OPEN, circuit_of
from app.limits.lanes import LaneLimits
from app.limits.learned import learned_from, narrowed
from app.limits.link import NOW
from app.limits.local_breaker import Circuit
from app.limits.scripts import SURVEY


@dataclass(frozen=True, slots=True)
class LaneVitals:
    """A lane as all workers together see it just now.

    Attributes:
        answers_per_minute: what its provider answered, over the last minute.
        paused_s: how long nothing is sent yet.
        rpm: requests a minute that are kept to by what was told or found; None if nothing limits.
        tpm: tokens a minute, likewise.
        in_flight: calls in flight, likewise.
    """

    answers_per_minute: float = 0.0
    paused_s: float = 0.0
    rpm: float | None = None
    tpm: float | None = None
    in_flight: int | None = None


def survey(client: "Redis", lane_ids: Sequence[str]) -> dict[str, LaneVitals]:
    """What is known of these lanes.

    Raises:
        RedisError: the server is away.
    """
    if not lane_ids:
        return {}
    keys = ["overnight:pauses"]
    for lane_id in lane_ids:
        keys += [f"overnight:lane:{lane_id}:{what}" for what in ("done", "learned")]
    rows = client.register_script(NOW + SURVEY)(keys=keys, args=["", *lane_ids])
    return {lane_id: _vitals(row) for lane_id, row in zip(lane_ids, rows, strict=True)}


def _vitals(row: Sequence[bytes | str]) -> LaneVitals:
    answers, paused_ms, *fields = (float(one) if one else None for one in row)
    limits = narrowed(LaneLimits(""), learned_from(fields, 0.0), 0.0)
    return LaneVitals(
        answers or 0.0, (paused_ms or 0.0) / 1000, limits.rpm, limits.tpm, limits.in_flight
    )


def breakers(client: "Redis") -> dict[Circuit, str]:
    """The breakers that are not closed: `open`, or `half_open` once a call may try.

    Raises:
        RedisError: the server is away.
    """
    found: list[Any] = list(client.zrange(OPEN, 0, -1, withscores=True))
    seconds, micros = client.time()
    now_ms = seconds * 1000 + micros / 1000
    return {
        circuit_of(name.decode() if isinstance(name, bytes) else name): (
            "open" if until > now_ms else "half_open"
        )
        for name, until in found
    }
