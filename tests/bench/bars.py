"""The bars: what is measured, how it is compared, and how it is told."""

import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field

from tests.bench.meters import Run, median


@dataclass(frozen=True, slots=True)
class Bar:
    """One number and its bound, of which there is one."""

    bar: str
    value: float
    at_least: float | None = None
    at_most: float | None = None
    details: dict[str, object] = field(default_factory=dict)

    @property
    def ok(self) -> bool:
        """Whether the bound is kept."""
        if self.at_least is not None:
            return self.value >= self.at_least
        return self.at_most is None or self.value <= self.at_most

    def told(self) -> dict[str, object]:
        """The line of JSON, as a mapping."""
        bound = {"at_least": self.at_least} if self.at_most is None else {"at_most": self.at_most}
        return {"bar": self.bar, "value": round(self.value, 4), **bound, "ok": self.ok}

    def kept(self) -> dict[str, object]:
        """The same with all that was seen, for a file of results."""
        return {**asdict(self), "ok": self.ok}


def tell(bar: Bar) -> Bar:
    """Print the bar's line of JSON on stdout."""
    print(json.dumps(bar.told()), flush=True)
    return bar


def note(what: str, **seen: object) -> None:
    """Say something beside the bars, on stderr."""
    words = " ".join(f"{name}={json.dumps(value)}" for name, value in seen.items())
    print(f"# {what}: {words}", file=sys.stderr, flush=True)


#: Of the raw client's speed in the same run, by store and calls in flight.
STEADY_AT_LEAST = {
    ("sqlite", 256): 0.93,
    ("postgresql", 256): 0.93,
    ("sqlite", 1024): 0.70,
    ("postgresql", 1024): 0.75,
}
#: CPU seconds of worker, store and broker together per 1,000 calls, by store, at 256 in flight.
CPU_AT_MOST = {"sqlite": 0.35, "postgresql": 0.45}
INGEST_AT_MOST = 3.0
SYNC_MS_AT_MOST = 30.0
FIRST_CALL_MS_AT_MOST = 100.0
FAIR_S_AT_MOST = 1.0
PROVIDER_AT_LEAST = 10_000.0
TWO_WORKERS_PER_S_AT_LEAST = 5_500.0
TWO_WORKERS_AT_LEAST = 0.60
LATE_AT_MOST = 1.1
RSS_GROWTH_AT_MOST = 0.20
RSS_GROWTH_BYTES_AT_MOST = 24 * 2**20
OLD_SNAPSHOT_AT_MOST = 1.5
API_RSS_MB_AT_MOST = 64.0


def speed_bars(kind: str, in_flight: int, pairs: Sequence[tuple[Run, Run]]) -> Iterator[Bar]:
    """What runs of ours and of the raw client, made in turn, come to."""
    ratios = [ours.per_s / raw.per_s for ours, raw in pairs]
    seen = {
        "ratios": [round(ratio, 4) for ratio in ratios],
        "ours": [ours.told() for ours, _ in pairs],
        "raw": [raw.told() for _, raw in pairs],
    }
    least = STEADY_AT_LEAST[kind, in_flight]
    yield Bar(f"steady_{in_flight}_{kind}", median(ratios), at_least=least, details=seen)
    if in_flight == 256:
        spent = median([ours.cpu_per_1000_s for ours, _ in pairs])
        yield Bar(f"cpu_s_per_1000_{kind}", spent, at_most=CPU_AT_MOST[kind], details=seen)
