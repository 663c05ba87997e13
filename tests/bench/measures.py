"""How each bar is measured."""

import random
import time
from collections.abc import Iterator
from dataclasses import dataclass

from tests.bench.bars import (
    FAIR_S_AT_MOST,
    FIRST_CALL_MS_AT_MOST,
    PROVIDER_AT_LEAST,
    Bar,
    note,
    speed_bars,
)
from tests.bench.door import LINES
from tests.bench.flood import flood
from tests.bench.harness import Servers, System, system
from tests.bench.meters import CpuMeter, median
from tests.bench.mock import MockProvider
from tests.bench.prompts import lines_of
from tests.bench.provider import make_answer, respond
from tests.servers import ServerError, wait_for

OURS, CROWD, GUEST = "ours", "crowd", "guest"
_FLOOD_CONNECTIONS = 3_000
_SEED = 20_260_727


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much is measured; every bar is measured at any size."""

    rounds: int
    calls: dict[int, tuple[int, int]]  # by calls in flight: ours, and the raw client's
    ingests: int
    starts: int
    guests: int
    flood_s: float
    long_calls: int
    snapshot_calls: int


FULL = Sizes(3, {256: (20_000, 8_000), 1024: (30_000, 16_000)}, 7, 20, 5, 3.0, 100_000, 30_000)
QUICK = Sizes(1, {256: (8_000, 5_000), 1024: (12_000, 12_000)}, 1, 8, 2, 1.0, 30_000, 9_000)


def measure_provider(provider: MockProvider, sizes: Sizes) -> Iterator[Bar]:
    """That the mock is never the bottleneck: answers a second that one core would give."""
    answer_bytes = len(respond(make_answer()))
    meter, began = CpuMeter({"provider": [provider.pid]}), time.monotonic()
    per_s = flood(
        provider.port, answer_bytes, connections=_FLOOD_CONNECTIONS, seconds=sizes.flood_s
    )
    busy_s, took_s = meter.read()["provider"], time.monotonic() - began
    _, answered = provider.count("flood")
    moments = provider.journal("flood")
    cpu_per_1000_s = busy_s * 1000 / answered
    yield Bar(
        "provider_per_s_and_core",
        1000 / cpu_per_1000_s,
        at_least=PROVIDER_AT_LEAST,
        details={
            "flooded_per_s": round(per_s, 1),
            "cpu_per_1000_s": round(cpu_per_1000_s, 4),
            "busy": round(busy_s / took_s, 3),
            "seen": len(moments.answered),
        },
    )


def measure_speed(kind: str, in_flight: int, servers: Servers, sizes: Sizes) -> Iterator[Bar]:
    """Ours and the raw client in turn, after a batch that opens connections and warms caches."""
    calls, raw_calls = sizes.calls[in_flight]
    with system(kind, servers, in_flight=in_flight) as ours:
        account_id = ours.new_account(OURS)
        ours.run(account_id, OURS, in_flight * 4)
        pairs = []
        for _ in range(sizes.rounds):
            run = ours.run(account_id, OURS, calls)
            raw = servers.provider.run_raw(in_flight, raw_calls)
            note(f"{kind}, {in_flight} in flight", ours=run.told(), raw=raw.told())
            pairs.append((run, raw))
    yield from speed_bars(kind, in_flight, pairs)


def measure_latency(kind: str, servers: Servers, sizes: Sizes) -> Iterator[Bar]:
    """On an idle system from submit to the provider; on a busy one until a guest is served."""
    with system(kind, servers) as ours:
        ours.run(ours.new_account(OURS), OURS, 64)
        yield _first_call(ours, sizes)
        yield _fairness(ours, sizes)


def _first_call(ours: System, sizes: Sizes) -> Bar:
    account_id, pauses, took_ms = ours.new_account(GUEST), random.Random(_SEED), []
    for _ in range(sizes.starts):
        time.sleep(pauses.uniform(0.3, 0.9))  # no multiple of anybody's polling
        ours.provider.forget(GUEST)
        began = time.monotonic()
        batch_id = ours.submit(account_id, lines_of(1))
        took_ms.append((_arrival(ours, batch_id) - began) * 1000)
        ours.wait_closed(batch_id, timeout_s=10)
    seen = {"ms": [round(one, 1) for one in took_ms]}
    note(f"{ours.kind}, submit to first call", **seen)
    name, most = f"first_call_ms_{ours.kind}", FIRST_CALL_MS_AT_MOST
    return Bar(name, median(took_ms), at_most=most, details={**seen})


def _fairness(ours: System, sizes: Sizes) -> Bar:
    crowd, guest = ours.new_account(CROWD), ours.new_account(GUEST)
    took_s, submits_s = [], []
    ours.submit(crowd, lines_of(LINES))
    if not wait_for(lambda: ours.provider.count(CROWD)[1] > 0, timeout_s=30):
        raise ServerError(f"the crowd did not start:\n{ours.worker_log()}")
    for _ in range(sizes.guests):
        time.sleep(1)
        ours.provider.forget(GUEST)
        began = time.monotonic()
        batch_id = ours.submit(guest, lines_of(1))
        submits_s.append(time.monotonic() - began)
        took_s.append(_arrival(ours, batch_id) - began)
        ours.wait_closed(batch_id, timeout_s=30)
    came, _ = ours.provider.count(CROWD)
    if came >= LINES:
        raise ServerError("the crowd was gone before its guests")
    seen = {
        "s": [round(one, 3) for one in took_s],
        "of_it_submit_s": [round(one, 3) for one in submits_s],
    }
    note(f"{ours.kind}, a guest in a crowd", **seen)
    return Bar(f"fair_start_s_{ours.kind}", max(took_s), at_most=FAIR_S_AT_MOST, details={**seen})


def _arrival(ours: System, batch_id: str) -> float:
    arrived = ours.provider.wait_arrival(GUEST, timeout_s=30)
    if arrived is None:
        raise ServerError(f"{ours.batch(batch_id)!r} was not called for:\n{ours.worker_log()}")
    return arrived
