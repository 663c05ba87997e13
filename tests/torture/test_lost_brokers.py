"""A broker that is lost on a large scale: wiped under ten thousand calls, away for minutes."""

import time
from collections import Counter

import pytest
import redis

from tests.e2e.system import System
from tests.torture.test_brokers import again_and_again

pytestmark = pytest.mark.timeout(900)
AWAY_S = 300


def answered(system: System, batch_id: str, jobs: int, within_s: float) -> None:
    """It ends, and everything is there once."""
    batch = system.wait_closed(batch_id, within_s)
    assert batch["counts"]["jobs"]["succeeded"] == jobs
    ids = Counter(line["custom_id"] for line in system.results(batch_id))
    assert ids == {f"c{n}": 1 for n in range(jobs)}
    system.check_laws()


def test_q9_a_broker_wiped_all_the_time_of_ten_thousand_calls_loses_none(system: System) -> None:
    with redis.Redis.from_url(system.valkey.url) as client, again_and_again(client.flushall, 0.2):
        answered(system, system.submit(10_000, latency_ms=50), 10_000, 900)


@pytest.mark.long
def test_q10_a_broker_that_is_away_for_five_minutes_stops_nobody(system: System) -> None:
    system.valkey.kill9()
    until = time.monotonic() + AWAY_S
    batches = []
    while time.monotonic() < until:
        batches.append(system.submit(20))
        time.sleep(15)
    for batch_id in batches:
        answered(system, batch_id, 20, 60)
    system.valkey.start()
    answered(system, system.submit(20), 20, 60)
