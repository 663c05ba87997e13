"""A broker that is away, full, read-only, forgetful or shared: work goes on, from the store."""

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
import redis

from app.queue import make_broker
from tests.e2e.conftest import migrate
from tests.e2e.system import System, system_of
from tests.fakes.provider import FakeProvider, problem
from tests.servers import ValkeyServer

JOBS = 40
DONE_MAX_S = 120
_FILL = "for n = 1, 10000 do redis.call('set', 'theirs:' .. ARGV[1] .. ':' .. n, 1) end"


def answered(system: System, batch_id: str, jobs: int = JOBS) -> None:
    """It ends, all of it, without anybody's doing, and everything is there once."""
    batch = system.wait_closed(batch_id, DONE_MAX_S)
    assert batch["counts"]["jobs"]["succeeded"] == jobs
    ids = Counter(line["custom_id"] for line in system.results(batch_id))
    assert ids == {f"c{n}": 1 for n in range(jobs)}
    system.check_laws()


@contextmanager
def again_and_again(act: Callable[[], object], every_s: float = 0.1) -> Iterator[None]:
    """Do something all the time while the block runs."""
    stopping = threading.Event()

    def run() -> None:
        while not stopping.wait(every_s):
            with suppress(redis.RedisError):
                act()

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        stopping.set()
        thread.join()


def test_q11_a_system_whose_broker_never_started_does_its_work(
    tmp_path: Path, own_valkey: ValkeyServer
) -> None:
    url = f"sqlite:///{tmp_path / 'overnight.db'}"
    migrate(url)
    own_valkey.kill9()
    with system_of(tmp_path, url, own_valkey) as system:
        ready = system.client.get("/readyz").json()
        assert (ready["ready"], ready["degraded"]) == (True, ["broker"])
        answered(system, system.submit(JOBS))


def test_q12_a_broker_without_memory_costs_time_and_nothing_else(on_sqlite: System) -> None:
    with redis.Redis.from_url(on_sqlite.valkey.url) as client:
        client.config_set("maxmemory", "1")
        answered(on_sqlite, on_sqlite.submit(JOBS))
        client.config_set("maxmemory", "0")
    answered(on_sqlite, on_sqlite.submit(JOBS))


def test_q13_a_broker_that_evicts_the_whole_queue_loses_nothing(on_sqlite: System) -> None:
    with redis.Redis.from_url(on_sqlite.valkey.url) as client:
        client.config_set("maxmemory-policy", "allkeys-lru")
        with again_and_again(lambda: client.delete("overnight:overnight.msgs"), 0.02):
            answered(on_sqlite, on_sqlite.submit(JOBS))


def test_q14_a_broker_that_turns_read_only_makes_nobody_do_anything_twice(
    on_sqlite: System, provider: FakeProvider
) -> None:
    use(on_sqlite, provider)
    with redis.Redis.from_url(on_sqlite.valkey.url) as client:
        batch_id = submit(on_sqlite, JOBS)
        client.replicaof("127.0.0.1", "1")
        on_sqlite.wait_under_way(batch_id, JOBS // 4)
        answered(on_sqlite, batch_id)
        client.replicaof("no", "one")
    assert len(provider.journal) == JOBS


def test_q15_connections_that_are_cut_all_the_time_strand_nothing(
    on_sqlite: System, provider: FakeProvider
) -> None:
    use(on_sqlite, provider)
    with (
        redis.Redis.from_url(on_sqlite.valkey.url) as client,
        again_and_again(lambda: client.execute_command("CLIENT", "KILL", "TYPE", "normal"), 0.05),
    ):
        answered(on_sqlite, submit(on_sqlite, JOBS))
    assert len(provider.journal) == JOBS


def test_q16_what_fails_while_the_broker_is_away_is_tried_again(
    on_sqlite: System, provider: FakeProvider
) -> None:
    use(on_sqlite, provider)
    provider.reply_with(*(problem(500) for _ in range(4)))
    on_sqlite.valkey.kill9()
    answered(on_sqlite, submit(on_sqlite, 4), 4)
    assert len(provider.journal) == 8


def test_o6_two_installations_on_one_broker_do_not_do_each_others_work(
    tmp_path: Path, own_valkey: ValkeyServer
) -> None:
    places = [tmp_path / name for name in ("one", "two")]
    for place in places:
        place.mkdir()
        migrate(f"sqlite:///{place / 'overnight.db'}")
    first, second = (f"sqlite:///{place / 'overnight.db'}" for place in places)
    with (
        system_of(places[0], first, own_valkey) as one,
        system_of(places[1], second, own_valkey) as two,
    ):
        batches = [(system, system.submit(JOBS)) for system in (one, two, one, two)]
        for system, batch_id in batches:
            answered(system, batch_id)
        for system, batch_id in batches[:2]:
            other = two if system is one else one
            assert other.client.get(f"/v1/batches/{batch_id}").status_code == 404


def test_o8_a_million_keys_of_others_slow_no_hint_down(own_valkey: ValkeyServer) -> None:
    broker = make_broker(own_valkey.url)
    with redis.Redis.from_url(own_valkey.url) as client:
        for tens in range(100):
            client.eval(_FILL, 0, tens)
        assert client.dbsize() >= 1_000_000
        broker.declare_queue("overnight")
        took = []
        for _ in range(50):
            began = time.monotonic()
            broker.do_qsize("overnight")
            took.append(time.monotonic() - began)
        assert sorted(took)[len(took) // 2] < 0.1


def use(system: System, provider: FakeProvider) -> None:
    """Call a provider that keeps a journal."""
    setting = {"api_key": "sk-made-up-own-key", "base_url": provider.url}
    assert system.client.put("/v1/settings/keys/custom:own", json=setting).is_success


def submit(system: System, jobs: int) -> str:
    """A batch for that provider."""
    return system.submit(jobs, models=["custom:own/one"], params={"max_tokens": 50})


pytestmark = pytest.mark.timeout(400)
