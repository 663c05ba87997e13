"""What goes wrong and when, all of it from one seed."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from random import Random


class Fault(StrEnum):
    """One kind of thing that goes wrong."""

    KILL = "kill"  # kill -9, of the process and what descends from it
    STOP = "stop"  # SIGSTOP; `CONTINUE` ends it
    CONTINUE = "continue"
    TERM = "term"  # SIGTERM to the process
    TERM_GROUP = "term_group"  # SIGTERM to its whole group, twice
    FLUSH = "flush"  # FLUSHALL
    BROKER = "broker"  # Valkey killed, and started again empty
    STORE = "store"  # PostgreSQL killed with all its processes, and started again
    ALL = "all"  # kill -9 of everything of ours at once


@dataclass(frozen=True, slots=True)
class Event:
    """A fault, when, of which process, and how long what it ends stays away."""

    at_s: float
    fault: Fault
    target: str = ""
    away_s: float = 0.0

    def __str__(self) -> str:
        """As it is told."""
        away = f" for {self.away_s:.1f} s" if self.away_s else ""
        return f"{self.at_s:6.1f} s {self.fault} {self.target}{away}".rstrip()


_WEIGHTS = {
    Fault.KILL: 8,
    Fault.STOP: 3,
    Fault.TERM: 2,
    Fault.TERM_GROUP: 2,
    Fault.FLUSH: 3,
    Fault.BROKER: 2,
    Fault.STORE: 2,
    Fault.ALL: 1,
}
#: Shorter than a lease, and longer: a worker that wakes up then has lost what it held.
_STOPPED_S = (3.0, 8.0, 26.0)
_FIRST_S = 5.0
_BETWEEN_S = (2.0, 7.0)
_AWAY_S = (0.0, 3.0)


def schedule(
    seed: int, seconds: float, targets: Sequence[str], *, without: frozenset[Fault] = frozenset()
) -> list[Event]:
    """Everything that will go wrong in so many seconds, in order."""
    random = Random(seed)
    kinds = [fault for fault in _WEIGHTS if fault not in without]
    workers = [name for name in targets if name.startswith("worker")]
    events, at_s = [], _FIRST_S
    while at_s < seconds:
        fault = random.choices(kinds, [_WEIGHTS[kind] for kind in kinds])[0]
        target, away_s = "", random.uniform(*_AWAY_S)
        if fault in {Fault.KILL, Fault.TERM, Fault.TERM_GROUP}:
            # The workers hold what can be lost.
            target = random.choice([*targets, *workers])
        elif fault is Fault.STOP:
            target, away_s = random.choice(workers), random.choice(_STOPPED_S)
            events.append(Event(at_s + away_s, Fault.CONTINUE, target))
        elif fault is Fault.FLUSH:
            away_s = 0.0
        events.append(Event(at_s, fault, target, away_s))
        at_s += random.uniform(*_BETWEEN_S)
    return sorted(events, key=lambda event: event.at_s)
