"""Real worker processes against a provider that enforces its limits: refusals are few, waste is little.

Each prints its two numbers as lines of JSON, as `make bench` does.
"""

import time
from dataclasses import dataclass

import pytest

from tests.bench.bars import Bar, tell
from tests.bench.harness import POSTGRESQL, SQLITE, Servers, System, system
from tests.bench.prompts import lines_of
from tests.fakes.windows import Limits
from tests.servers import PostgresServer, ValkeyServer
from tests.torture.limited import LimitedProvider

#: What is measured are shares of minutes, of workers that have the machine to themselves.
pytestmark = pytest.mark.long
RPM = 600
#: How long it is measured, after they have settled.
SECONDS = 150.0


def run(made: System, provider: LimitedProvider, settle_s: float, seconds: float) -> None:
    """Let workers send what they may, and look away while they settle."""
    made.submit(made.new_account("limited"), lines_of(int(RPM * (settle_s + seconds) / 60 * 2)))
    deadline = time.monotonic() + 60
    while not provider.taken and time.monotonic() < deadline:
        time.sleep(0.1)
    assert provider.taken, made.worker_log()
    time.sleep(settle_s + seconds)


@dataclass(frozen=True)
class Case:
    """How many workers, on which store; what they are told, and what is asked of them then."""

    workers: int
    kind: str
    flavour: str
    settle_s: float
    refused_at_most: float
    used_at_least: float


CASES = [
    Case(workers, kind, *asked)
    for asked in [("openai", 60.0, 0.01, 0.90), ("none", 120.0, 0.05, 0.80)]
    for workers, kind in [(1, SQLITE), (4, POSTGRESQL)]
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.flavour}-{case.workers}")
def test_workers_keep_to_limits_and_use_them(
    case: Case, postgres: PostgresServer, valkey: ValkeyServer
) -> None:
    with LimitedProvider(Limits("last_minute", RPM, flavour=case.flavour)) as provider:
        servers = Servers(postgres, valkey, provider)  # type: ignore[arg-type]
        with system(case.kind, servers, in_flight=64, workers=case.workers) as made:
            run(made, provider, case.settle_s, SECONDS)
            until = time.monotonic()
            refused, used = provider.shares(RPM, until - SECONDS, until)
    name = f"limits_{case.flavour}_{case.workers}_workers"
    bars = [
        tell(Bar(f"{name}_refused", refused, at_most=case.refused_at_most)),
        tell(Bar(f"{name}_used", used, at_least=case.used_at_least)),
    ]
    assert all(bar.ok for bar in bars), bars
