"""Real worker processes against a provider that enforces its limits: refusals are few, waste is little.

Each prints its two numbers as lines of JSON, as `make bench` does.
"""

import time

import pytest

from tests.bench.bars import Bar, tell
from tests.bench.harness import POSTGRESQL, SQLITE, Servers, System, system
from tests.bench.prompts import lines_of
from tests.fakes.windows import Limits
from tests.servers import PostgresServer, ValkeyServer
from tests.torture.limited import LimitedProvider

RPM = 600


def run(made: System, provider: LimitedProvider, settle_s: float, seconds: float) -> None:
    """Let workers send what they may, and look away while they settle."""
    made.submit(made.new_account("limited"), lines_of(int(RPM * (settle_s + seconds) / 60 * 2)))
    deadline = time.monotonic() + 60
    while not provider.taken and time.monotonic() < deadline:
        time.sleep(0.1)
    assert provider.taken, made.worker_log()
    time.sleep(settle_s + seconds)


@pytest.mark.parametrize(("workers", "kind"), [(1, SQLITE), (4, POSTGRESQL)])
@pytest.mark.parametrize(
    ("flavour", "settle_s", "refused_at_most", "used_at_least"),
    [("openai", 60.0, 0.01, 0.90), ("none", 120.0, 0.05, 0.80)],
)
def test_workers_keep_to_limits_and_use_them(
    workers: int,
    kind: str,
    flavour: str,
    settle_s: float,
    refused_at_most: float,
    used_at_least: float,
    postgres: PostgresServer,
    valkey: ValkeyServer,
) -> None:
    seconds = 150.0
    with LimitedProvider(Limits("last_minute", RPM, flavour=flavour)) as provider:
        servers = Servers(postgres, valkey, provider)  # type: ignore[arg-type]
        with system(kind, servers, in_flight=64, workers=workers) as made:
            run(made, provider, settle_s, seconds)
            until = time.monotonic()
            refused, used = provider.shares(RPM, until - seconds, until)
    name = f"limits_{flavour}_{workers}_workers"
    bars = [
        tell(Bar(f"{name}_refused", refused, at_most=refused_at_most)),
        tell(Bar(f"{name}_used", used, at_least=used_at_least)),
    ]
    assert all(bar.ok for bar in bars), bars
