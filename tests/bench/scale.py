"""`make bench-scale`: what a call costs as calls, workers and accounts become more.

One line of JSON for each: 1,000, 10,000 and 100,000 calls one after the other in the same store,
by 1, 2 and 4 worker processes (SQLite has one) with 256 in flight each; and one idle worker, beside
one account and beside a thousand that each have a lane that was used.
"""

import argparse
import json
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack

from tests.bench.harness import POSTGRESQL, SQLITE, STORES, Servers, System, system
from tests.bench.many import claims_s
from tests.bench.meters import CpuMeter
from tests.bench.mock import mock_provider, wait_quiet
from tests.bench.prompts import lines_of
from tests.bench.provider import LATENCY_S
from tests.servers import postgres_server, valkey_server
from tests.servers.places import temporary_directory

IN_FLIGHT = 256
CALLS = (1_000, 10_000, 100_000)
WORKERS = {SQLITE: (1,), POSTGRESQL: (1, 2, 4)}
ACCOUNTS = (1, 1_000)
_IDLE_S, _SETTLE_S, _CLAIMED = 20.0, 2.0, 6_400
_OURS = "ours"


def measure_calls(kind: str, servers: Servers, workers: int) -> Iterator[dict[str, object]]:
    """More and more calls in one store, after a batch that opens connections and warms caches."""
    with system(kind, servers, in_flight=IN_FLIGHT, workers=workers) as ours:
        account_id = ours.new_account(_OURS)
        ours.run(account_id, _OURS, IN_FLIGHT * 4 * workers)
        for calls in CALLS:
            told = ours.run(account_id, _OURS, calls).told()
            yield {"store": kind, "workers": workers, **told}


def measure_lanes(kind: str, servers: Servers, accounts: int) -> dict[str, object]:
    """What a worker with nothing to do takes a minute, and a claim for one account of so many."""
    with system(kind, servers, in_flight=IN_FLIGHT, workers=0) as ours:
        ids = [ours.new_account(_OURS) for _ in range(accounts)]
        claim_s = claims_s(ours, ids[0], _CLAIMED)
    with system(kind, servers, in_flight=IN_FLIGHT) as ours:
        _use_lanes(ours, accounts)
        meter = CpuMeter(ours.pids())
        time.sleep(_IDLE_S)
        spent = {name: round(took * 60 / _IDLE_S, 2) for name, took in meter.read().items()}
    return {
        "store": kind,
        "accounts": accounts,
        "idle_cpu_s_per_minute": spent,
        "claim_ms": round(claim_s * 1000, 2),
    }


def _use_lanes(ours: System, accounts: int) -> None:
    """One call through a lane of each account, until all is done and said."""
    ours.provider.forget(_OURS)
    batches = [ours.submit(ours.new_account(_OURS), lines_of(1)) for _ in range(accounts)]
    for batch_id in batches:
        ours.wait_closed(batch_id, timeout_s=60)
    wait_quiet(ours.provider, _OURS)
    time.sleep(_SETTLE_S)


def measure(servers: Servers, kinds: list[str], parts: list[str]) -> Iterator[dict[str, object]]:
    """All of it, or these parts for these stores."""
    for kind in kinds:
        for workers in WORKERS[kind]:
            if f"{workers}" in parts:
                yield from measure_calls(kind, servers, workers)
        if "lanes" in parts:
            for accounts in ACCOUNTS:
                yield measure_lanes(kind, servers, accounts)


def main() -> int:
    """Measure, and print as it comes."""
    parts = ["1", "2", "4", "lanes"]
    parser = argparse.ArgumentParser(prog="python -m tests.bench.scale", description=__doc__)
    parser.add_argument("--store", action="append", choices=STORES)
    parser.add_argument("--only", action="append", choices=parts, help="so many workers, or lanes")
    options = parser.parse_args()
    with ExitStack() as stack:
        directory = stack.enter_context(temporary_directory())
        servers = Servers(
            stack.enter_context(postgres_server(fsync=True)),
            stack.enter_context(valkey_server()),
            stack.enter_context(mock_provider(directory, LATENCY_S)),
        )
        for seen in measure(servers, options.store or list(STORES), options.only or parts):
            print(json.dumps(seen), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
