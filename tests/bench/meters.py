"""What processes took: their CPU time and memory, and how fast answers came."""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import psutil

from tests.servers import family_of

#: The part of a run that counts: its beginning and its end are not steady.
STEADY_FROM, STEADY_TO = 0.1, 0.9


def cpu_s(pid: int) -> float:
    """The CPU time of a process and all that descend from it, those that have ended included."""
    total = 0.0
    for process in family_of(pid):
        try:
            times = process.cpu_times()
        except psutil.NoSuchProcess:
            continue  # it has just ended, and its parent has its time
        total += times.user + times.system + times.children_user + times.children_system
    return total


def rss_max_bytes(pid: int) -> int:
    """The most memory that a process ever had, as Linux counts it; elsewhere what it has now."""
    try:
        with open(f"/proc/{pid}/status", encoding="ascii") as status:  # noqa: PTH123 - no path
            for line in status:
                if line.startswith("VmHWM:"):
                    return int(line.split()[1]) * 1024
    except FileNotFoundError:
        pass
    return int(psutil.Process(pid).memory_info().rss)


class CpuMeter:
    """How much CPU time named processes took since it was made."""

    def __init__(self, pids: Mapping[str, Sequence[int]]) -> None:
        self._pids = pids
        self._before = self._now()

    def _now(self) -> dict[str, float]:
        return {name: sum(map(cpu_s, pids)) for name, pids in self._pids.items()}

    def read(self) -> dict[str, float]:
        """Seconds by name."""
        return {name: now - self._before[name] for name, now in self._now().items()}


def steady_rate(moments: Sequence[float]) -> float:
    """How many a second, between the first tenth and the last."""
    in_order = sorted(moments)
    first, last = int(len(in_order) * STEADY_FROM), int(len(in_order) * STEADY_TO)
    return (last - first) / (in_order[last] - in_order[first])


@dataclass(frozen=True, slots=True)
class Run:
    """What one run of calls took."""

    calls: int
    per_s: float
    seconds: float
    cpu_s: Mapping[str, float]
    rss_max_bytes: int
    provider_cpu_s: float = 0.0

    @property
    def cpu_per_1000_s(self) -> float:
        """CPU seconds of all that took part, per 1,000 calls."""
        return sum(self.cpu_s.values()) * 1000 / self.calls

    def told(self) -> dict[str, object]:
        """As a line of the report."""
        return {
            "calls": self.calls,
            "calls_per_s": round(self.per_s, 1),
            "seconds": round(self.seconds, 2),
            "cpu_per_1000_s": round(self.cpu_per_1000_s, 4),
            "cpu_per_1000_s_of": {
                name: round(spent * 1000 / self.calls, 4) for name, spent in self.cpu_s.items()
            },
            "provider_cpu_per_1000_s": round(self.provider_cpu_s * 1000 / self.calls, 4),
            "rss_max_mb": round(self.rss_max_bytes / 2**20, 1),
        }


def median_run(runs: Sequence[Run]) -> Run:
    """The run in the middle, by speed."""
    return sorted(runs, key=lambda run: run.per_s)[len(runs) // 2]


def median(numbers: Sequence[float]) -> float:
    """The middle."""
    return statistics.median(numbers)
