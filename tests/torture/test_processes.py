"""Processes and stores under what machines do to them: clocks, signals, limits, lost servers."""

import os
import signal
import socket
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
import sqlalchemy as sa
from sqlmodel import col, select

from app.db import Store
from app.domain.errors import UnavailableError
from app.models import Attempt, Call, Worker
from tests.e2e.conftest import migrate
from tests.e2e.system import System, system_of
from tests.fakes.engine import Engine
from tests.fakes.provider import FakeProvider
from tests.servers import Child, PostgresServer, ValkeyServer, postgres_server, wait_for

JOBS = 60
#: How many calls a worker has in flight, where that matters.
SLOTS = 32
DONE_MAX_S = 180
pytestmark = pytest.mark.timeout(900)


def answered(system: System, batch_id: str, jobs: int = JOBS) -> None:
    """It ends, and everything is there once."""
    batch, lines = system.wait_closed(batch_id, DONE_MAX_S), system.results(batch_id)
    others = [line for line in lines if line["state"] != "succeeded"]
    assert batch["counts"]["jobs"]["succeeded"] == jobs, others[:3]
    ids = Counter(line["custom_id"] for line in lines)
    assert ids == {f"c{n}": 1 for n in range(jobs)}
    system.check_laws()


#: A module that every Python imports as it starts.
CLOCK = "import time\n_true = time.time\ntime.time = lambda: _true() + {shift_s}\n"


@pytest.mark.parametrize("shift_s", [-3600, 3600])
def test_q23_a_worker_whose_clock_is_an_hour_off_keeps_its_lease(
    on_postgres: System, tmp_path: Path, shift_s: int
) -> None:
    folder = tmp_path / "clock"
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(CLOCK.format(shift_s=shift_s))
    on_postgres.kill9("worker")
    on_postgres.env["PYTHONPATH"] = f"{folder}{os.pathsep}{on_postgres.env['PYTHONPATH']}"
    on_postgres.start("worker-2")
    batch_id = on_postgres.submit(JOBS, latency_ms=12_000)  # three leases long
    answered(on_postgres, batch_id)
    with on_postgres.store.read() as session:
        assert set(session.exec(select(Attempt.state)).all()) == {"succeeded"}
        assert session.exec(select(Worker.id)).all()


@pytest.fixture
def own_postgres() -> Iterator[PostgresServer]:
    """A PostgreSQL that the test may kill."""
    with postgres_server(fsync=True) as server:
        yield server


def test_s1_a_postgresql_that_is_killed_and_started_again_costs_nothing(
    tmp_path: Path, own_postgres: PostgresServer, own_valkey: ValkeyServer
) -> None:
    with own_postgres.database() as url:
        migrate(url)
        with system_of(tmp_path, url, own_valkey) as system:
            batch_id = system.submit(300, latency_ms=400)
            system.wait_under_way(batch_id, 20)
            for _ in range(2):
                own_postgres.kill9()
                time.sleep(2)
                own_postgres.start()
                system.store.close()  # what it was connected to is gone
                assert wait_for(lambda: system.client.get("/readyz").is_success, timeout_s=60)
            answered(system, batch_id, 300)


def test_s6_four_workers_on_one_sqlite_file_show_nobody_that_it_was_locked(
    on_sqlite: System,
) -> None:
    on_sqlite.start("worker-2", "worker-3", "worker-4")
    batches = [on_sqlite.submit(100, latency_ms=50) for _ in range(8)]
    for batch_id in batches:
        answered(on_sqlite, batch_id, 100)
    logs = "".join(child.log.read_text() for child in on_sqlite.processes.values())
    assert "database is locked" not in logs
    assert '"status":500' not in logs


def test_s9_a_hundred_thousand_jobs_are_one_submit_in_bounded_memory(on_sqlite: System) -> None:
    api = psutil.Process(on_sqlite.processes["api"].pid)
    lines = b"".join(b'{"custom_id":"c%d","prompt":"prompt %d"}\n' % (n, n) for n in range(100_000))
    before = api.memory_info().rss
    uploaded = on_sqlite.client.post("/v1/files", files={"file": ("in.jsonl", lines)}, timeout=300)
    body = {
        "mode": "chat",
        "models": ["simulated/gold"],
        "input_file_id": uploaded.json()["id"],
    }
    began = time.monotonic()
    answer = on_sqlite.client.post("/v1/batches", json=body, timeout=300)
    took_s = time.monotonic() - began
    assert answer.status_code == 201, answer.text
    assert answer.json()["counts"]["jobs"]["total"] == 100_000
    assert api.memory_info().rss - before < 300 * 2**20
    on_sqlite.client.post(f"/v1/batches/{answer.json()['id']}/cancel")
    sys.stderr.write(f"a submit of 100,000 jobs took {took_s:.1f} s\n")


def test_q17_nine_thousand_calls_in_backoff_are_each_answered_once(
    on_sqlite: System, provider: FakeProvider
) -> None:
    on_sqlite.kill9("worker")
    on_sqlite.env["OVERNIGHT_WORKER_IN_FLIGHT"] = str(SLOTS)
    on_sqlite.start("worker-2")
    setting = {"api_key": "sk-made-up-own-key", "base_url": provider.url}
    assert on_sqlite.client.put("/v1/settings/keys/custom:own", json=setting).is_success
    busy_id = on_sqlite.submit(SLOTS, latency_ms=100_000)
    wait_for(lambda: in_flight(on_sqlite) == SLOTS, timeout_s=60)
    batch_id = on_sqlite.submit(9_000, models=["custom:own/one"], params={"max_tokens": 20})
    until = time.monotonic() + 65
    while time.monotonic() < until:  # all of it waits, and every slot is taken
        on_sqlite.wait(batch_id, lambda shown: shown["counts"]["calls"]["closed"] == 0, 5)
        with on_sqlite.store.transaction() as tx:
            back_off = "UPDATE call SET due_at = {after_ms(10000)} WHERE batch_id = :id"
            tx.run(on_sqlite.store.sql(back_off), {"id": batch_id})
        time.sleep(5)
    assert in_flight(on_sqlite) == SLOTS
    answered(on_sqlite, busy_id, SLOTS)
    answered(on_sqlite, batch_id, 9_000)
    asked = Counter(seen.json["messages"][-1]["content"] for seen in provider.journal)
    assert (len(asked), set(asked.values())) == (9_000, {1})
    with on_sqlite.store.read() as session:
        states = Counter(session.exec(select(Attempt.state)).all())
    assert states == {"succeeded": 9_000 + SLOTS}


def in_flight(system: System) -> int:
    """How many calls a worker holds."""
    with system.store.read() as session:
        return session.exec(
            select(sa.func.count()).select_from(Call).where(col(Call.worker_id).is_not(None))
        ).one()


def test_o3_an_api_with_64_files_to_open_says_that_it_is_busy_and_recovers(
    on_sqlite: System,
) -> None:
    on_sqlite.kill9("api")
    program = Path(sys.executable).parent / "overnight"
    on_sqlite.processes["api"] = Child(
        ["/bin/sh", "-c", f"ulimit -n 64; exec {program} api"],
        log=on_sqlite.directory / "api-64.log",
        env=on_sqlite.env,
    )
    on_sqlite.processes["api"].wait_until(on_sqlite._answers, timeout_s=60)
    held = []
    for _ in range(80):
        made = socket.socket()
        made.settimeout(2)
        made.connect(("127.0.0.1", on_sqlite.port))
        held.append(made)
    time.sleep(1)
    for one in held:
        one.close()
    assert wait_for(on_sqlite._answers, timeout_s=30)
    answered(on_sqlite, on_sqlite.submit(5), 5)
    assert '"status":500' not in (on_sqlite.directory / "api-64.log").read_text()


def test_o4_a_hangup_in_the_middle_answers_nothing_twice(on_sqlite: System) -> None:
    batch_id = on_sqlite.submit(JOBS, latency_ms=800)
    on_sqlite.wait(batch_id, lambda shown: shown["state"] == "running", 120)
    for name in ("worker", "scheduler", "api"):
        os.kill(on_sqlite.processes[name].pid, signal.SIGHUP)
    time.sleep(1)
    down = [name for name, child in on_sqlite.processes.items() if not child.is_running]
    on_sqlite.start(*down)
    answered(on_sqlite, batch_id)


def test_q5_a_worker_that_is_stopped_in_a_transaction_does_not_keep_its_locks(
    postgres_store_url: str, tmp_path: Path
) -> None:
    stopped, other = Store(postgres_store_url, hot=True), Store(postgres_store_url)
    batch_id = Engine(other, tmp_path).submit(["one"])
    statement = sa.text("UPDATE batch SET calls_cached = calls_cached WHERE id = :id")
    with pytest.raises(UnavailableError), stopped.transaction() as tx:
        tx.run(statement, {"id": batch_id})
        began = time.monotonic()
        with other.transaction() as free:  # while the first does nothing more
            free.run(statement, {"id": batch_id})
        assert time.monotonic() - began < 45
    for store in (stopped, other):
        store.close()
