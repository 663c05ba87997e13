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

pytestmark = pytest.mark.timeout(600)
RPM = 600


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
    """How many workers; how their provider counts, and what it tells; how long all of it takes."""

    workers: int
    flavour: str
    window: str
    settle_s: float
    seconds: float

    @property
    def kind(self) -> str:
        """On which store."""
        return SQLITE if self.workers == 1 else POSTGRESQL


#: Without a word about limits a burst may use up a whole minute first; a bucket shows it sooner.
SHORT = [
    Case(1, "openai", "last_minute", 60.0, 30.0),
    Case(4, "openai", "last_minute", 60.0, 30.0),
    Case(1, "none", "bucket", 30.0, 60.0),
]
LONG = [
    Case(workers, flavour, "last_minute", settle_s, 150.0)
    for flavour, settle_s in [("openai", 60.0), ("none", 120.0)]
    for workers in (1, 4)
]
CASES = [
    pytest.param(case, marks=marks, id=f"{case.flavour}-{case.workers}-{case.seconds:.0f}-s")
    for cases, marks in ((SHORT, ()), (LONG, pytest.mark.long))
    for case in cases
]
#: Of what is sent, and of the limit, by what is told.
REFUSED_AT_MOST = {"openai": 0.01, "none": 0.05}
USED_AT_LEAST = {"openai": 0.90, "none": 0.80}


@pytest.mark.parametrize("case", CASES)
def test_workers_keep_to_limits_and_use_them(
    case: Case, postgres: PostgresServer, valkey: ValkeyServer
) -> None:
    with LimitedProvider(Limits(case.window, RPM, flavour=case.flavour)) as provider:
        servers = Servers(postgres, valkey, provider)  # type: ignore[arg-type]
        with system(case.kind, servers, in_flight=64, workers=case.workers) as made:
            run(made, provider, case.settle_s, case.seconds)
            until = time.monotonic()
            refused, used = provider.shares(RPM, until - case.seconds, until)
    name = f"limits_{case.flavour}_{case.workers}_workers"
    bars = [
        tell(Bar(f"{name}_refused", refused, at_most=REFUSED_AT_MOST[case.flavour])),
        tell(Bar(f"{name}_used", used, at_least=USED_AT_LEAST[case.flavour])),
    ]
    assert all(bar.ok for bar in bars), bars
