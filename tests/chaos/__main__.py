"""`python -m tests.chaos`: progress on stderr, at the end one line of JSON, and how it went."""

import argparse
import dataclasses
import json
import sys
import tempfile
import time
from pathlib import Path

from tests.chaos.history import Verdict
from tests.chaos.places import embedded, production
from tests.chaos.provider import ChaosProvider, ChaosReceiver
from tests.chaos.run import Chaos, run, say
from tests.chaos.schedule import Fault, schedule
from tests.servers.places import temporary_directory

PLACES = {"postgresql": production, "sqlite": embedded}
TARGETS = {
    "postgresql": ("api", "worker-1", "worker-2", "scheduler"),
    "sqlite": ("up", "api", "worker", "scheduler"),
}
WITHOUT = {"postgresql": frozenset[Fault](), "sqlite": frozenset({Fault.STORE})}
_KILLS = {Fault.KILL, Fault.TERM, Fault.TERM_GROUP, Fault.BROKER, Fault.STORE, Fault.ALL}


def one_run(kind: str, seed: int, seconds: float, directory: Path) -> tuple[Verdict, Chaos]:
    """A whole run in one kind of place."""
    events = schedule(seed, seconds, TARGETS[kind], without=WITHOUT[kind])
    for event in events:
        say(f"{kind} will: {event}")
    with ChaosProvider(seed) as provider, ChaosReceiver(seed) as receiver:
        environment = {
            "OVERNIGHT_PLATFORM_OPENAI_API_KEY": "sk-made-up-platform-key",
            "OVERNIGHT_PLATFORM_OPENAI_BASE_URL": provider.url("credits"),
        }
        with PLACES[kind](directory, **environment) as place:
            return run(place, events, seconds, (provider, receiver))


def told(seed: int, minutes: float, runs: dict[str, tuple[Verdict, Chaos]]) -> dict[str, object]:
    """One line for all the runs: what is counted is added up, the worst of what is measured."""
    line: dict[str, object] = {"chaos": "overnight", "seed": seed, "minutes": minutes}
    line["kills"] = sum(chaos.done[kind] for _, chaos in runs.values() for kind in _KILLS)
    for name in (one.name for one in dataclasses.fields(Verdict)):
        values = [getattr(verdict, name) for verdict, _ in runs.values()]
        if name == "problems":
            line[name] = [problem for value in values for problem in value][:20]
        else:
            line[name] = max(values) if name.endswith("_s") else sum(values)
    line["faults"] = {
        kind: {fault.value: count for fault, count in sorted(chaos.done.items())}
        for kind, (_, chaos) in runs.items()
    }
    line["ok"] = all(verdict.is_good for verdict, _ in runs.values())
    return line


def main() -> int:
    """Run in each kind of place for its part of the time."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--seed", type=int, default=int(time.time()), help="of the schedule")
    parser.add_argument("--minutes", type=float, default=3.0, help="of faults, in all")
    parser.add_argument("--only", choices=sorted(PLACES), help="only in this kind of place")
    options = parser.parse_args()
    kinds = [options.only] if options.only else list(PLACES)
    say(f"chaos with seed {options.seed}, {options.minutes} minutes on {' and '.join(kinds)}")
    runs = {}
    for kind in kinds:
        with temporary_directory() as directory:
            runs[kind] = one_run(
                kind, options.seed, options.minutes * 60 / len(kinds), directory / "data"
            )
            if not runs[kind][0].is_good:
                kept = Path(tempfile.mkdtemp(prefix="overnight-chaos-"))
                say(f"what it left behind is kept in {(directory / 'data').rename(kept / kind)}")
    line = told(options.seed, options.minutes, runs)
    print(json.dumps(line))
    return 0 if line["ok"] else 1


if __name__ == "__main__":
    sys.exit(main())
