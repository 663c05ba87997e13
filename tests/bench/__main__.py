"""Measures every bar: `python -m tests.bench [--quick] [--only NAME] [--out FILE]`.

One line of JSON per bar on stdout; what was seen on the way on stderr.
"""

import argparse
import os
import platform
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import msgspec

from tests.bench.bars import Bar, note, tell
from tests.bench.door import measure_door, measure_ingest
from tests.bench.harness import STORES, Servers
from tests.bench.many import measure_long, measure_snapshot, measure_two
from tests.bench.measures import (
    FULL,
    QUICK,
    Sizes,
    measure_latency,
    measure_provider,
    measure_speed,
)
from tests.bench.mock import mock_provider
from tests.bench.provider import LATENCY_S
from tests.servers import postgres_server, valkey_server
from tests.servers.places import temporary_directory

Stage = Callable[[], Iterator[Bar]]


def stages(servers: Servers, sizes: Sizes) -> dict[str, Stage]:
    """What is measured, in order, by name."""
    named: dict[str, Stage] = {"provider": partial(measure_provider, servers.provider, sizes)}
    for in_flight in sizes.calls:
        for kind in STORES:
            stage = partial(measure_speed, kind, in_flight, servers, sizes)
            named[f"speed_{in_flight}_{kind}"] = stage
    named["two_workers"] = partial(measure_two, servers, sizes.calls[1024][0] * 2, sizes.rounds)
    for kind in STORES:
        named[f"long_{kind}"] = partial(measure_long, kind, servers, sizes.long_calls, sizes.rounds)
    named["snapshot"] = partial(measure_snapshot, servers, sizes.snapshot_calls)
    for kind in STORES:
        named[f"ingest_{kind}"] = partial(measure_ingest, kind, servers, sizes.ingests)
        named[f"latency_{kind}"] = partial(measure_latency, kind, servers, sizes)
        named[f"door_{kind}"] = partial(measure_door, kind, servers, sizes.starts)
    return named


def measure(sizes: Sizes, only: list[str]) -> list[Bar]:
    """Run the stages whose name holds one of these words; all if there are none."""
    with ExitStack() as stack:
        directory = stack.enter_context(temporary_directory())
        servers = Servers(
            stack.enter_context(postgres_server(fsync=True)),
            stack.enter_context(valkey_server()),
            stack.enter_context(mock_provider(directory, LATENCY_S)),
        )
        bars = []
        for name, stage in stages(servers, sizes).items():
            if only and not any(word in name for word in only):
                continue
            began = time.monotonic()
            bars += [tell(bar) for bar in stage()]
            note(f"stage {name}", seconds=round(time.monotonic() - began, 1))
        return bars


def machine() -> dict[str, object]:
    """What this runs on, for numbers mean nothing without."""
    return {
        "cores": len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count(),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "load": [round(one, 2) for one in os.getloadavg()],
    }


def main() -> int:
    """Measure, tell, and keep the results if asked to."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="every bar, but fewer calls")
    parser.add_argument(
        "--only", action="append", default=[], metavar="NAME", help="stages with this in their name"
    )
    parser.add_argument("--out", type=Path, metavar="FILE", help="write all results as JSON")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that all is cleaned up
    here = machine()
    note("machine", **here)
    bars = measure(QUICK if options.quick else FULL, options.only)
    if options.out is not None:
        kept = {"machine": here, "quick": options.quick, "bars": [bar.kept() for bar in bars]}
        options.out.write_bytes(msgspec.json.format(msgspec.json.encode(kept)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
