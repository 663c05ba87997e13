"""A circuit breaker in memory: for when the broker is away, and for tests."""

import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Protocol

#: A model of a lane: what a breaker is for.
Circuit = tuple[str, str]

#: So many failures in a row, in order of completion, open it.
FAILURES_MAX = 3
OPEN_S = 30.0
#: When to ask again while a call is being tried: that may end at any moment.
TRIED_WAIT_S = 1.0


class CircuitBreaker(Protocol):
    """Stops sending to a model of a lane that only fails, and tries again with one call."""

    async def failed(self, lane_id: str, model: str) -> None:
        """A call failed in a way that says that the provider is not well."""
        ...

    async def succeeded(self, lane_id: str, model: str) -> None:
        """The provider answered a call: whatever was counted is forgotten."""
        ...

    async def open_models(self, lane_ids: Collection[str]) -> dict[Circuit, float]:
        """Which models of these lanes may not be sent to, and for how many seconds yet.

        At 0 the wait is over, and one call may be tried: see `try_trial`.
        """
        ...

    async def try_trial(self, lane_id: str, model: str) -> bool:
        """Whether the caller may send, and if the breaker was open, the one call that tries."""
        ...

    async def abandon_trial(self, lane_id: str, model: str) -> None:
        """The call that tried told nothing, say because it was rate limited: another may."""
        ...

    async def refresh(self) -> None:
        """Keep the trials that are under way, and hear of the others'; about once a second."""
        ...


@dataclass(slots=True)
class _Circuit:
    failures: int = 0
    open_until: float | None = None
    is_tried: bool = False


class LocalBreaker:
    """The breakers of this process.

    Args:
        clock: seconds that only ever rise.
    """

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._circuits: dict[Circuit, _Circuit] = {}

    async def failed(self, lane_id: str, model: str) -> None:
        """A call failed in a way that says that the provider is not well."""
        circuit = self._circuits.setdefault((lane_id, model), _Circuit())
        now = self._clock()
        if circuit.open_until is None:
            circuit.failures += 1
            if circuit.failures < FAILURES_MAX:
                return
        elif circuit.open_until > now:
            return  # it was sent before the breaker opened
        circuit.open_until = now + OPEN_S
        circuit.is_tried = False

    async def succeeded(self, lane_id: str, model: str) -> None:
        """The provider answered a call: whatever was counted is forgotten."""
        self._circuits.pop((lane_id, model), None)

    async def open_models(self, lane_ids: Collection[str]) -> dict[Circuit, float]:
        """Which models of these lanes may not be sent to, and for how many seconds yet."""
        now = self._clock()
        return {
            key: TRIED_WAIT_S if circuit.is_tried else max(0.0, circuit.open_until - now)
            for key, circuit in self._circuits.items()
            if circuit.open_until is not None and key[0] in lane_ids
        }

    def opened(self) -> dict[Circuit, float]:
        """All that are open, and for how many seconds yet."""
        now = self._clock()
        return {
            key: circuit.open_until - now
            for key, circuit in self._circuits.items()
            if circuit.open_until is not None and circuit.open_until > now
        }

    async def try_trial(self, lane_id: str, model: str) -> bool:
        """Whether the caller may send, and if the breaker was open, the one call that tries."""
        circuit = self._circuits.get((lane_id, model))
        if circuit is None or circuit.open_until is None:
            return True
        if circuit.open_until > self._clock() or circuit.is_tried:
            return False
        circuit.is_tried = True
        return True

    async def abandon_trial(self, lane_id: str, model: str) -> None:
        """The call that tried told nothing: another may."""
        circuit = self._circuits.get((lane_id, model))
        if circuit is not None:
            circuit.is_tried = False

    async def refresh(self) -> None:
        """There is nobody to tell, and nobody to hear of."""
