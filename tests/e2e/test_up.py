"""`overnight up`: one machine, one command; it leaves nothing behind, however it ends."""

import json
import os
import re
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.servers import Child, has_ended, wait_for
from tests.servers.overnight import (
    UpServer,
    all_ended,
    environment_of,
    last_json,
    run_overnight,
    up_server,
)
from workers.supervisor.valkey import EmbeddedValkey

#: A well-formed key that no system knows.
WRONG_KEY = "ovn_2Pz4YhbC0T3vWm6kQxJr8sLdNeUfGa_0uS4rJ"
JOBS = 40
#: Few calls at a time, and a lease that ends soon, so that a lost worker's calls wait for little.
SLOW = {
    "OVERNIGHT_WORKER_IN_FLIGHT": "4",
    "OVERNIGHT_LEASE_S": "4",
    "OVERNIGHT_RECONCILE_INTERVAL_S": "1",
}


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[UpServer]:
    place = tmp_path_factory.mktemp("up")
    with up_server(place / "data", place / "log") as server:
        yield server


def start_another(environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-P", "-m", "workers.up"],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def slow_batch() -> dict[str, Any]:
    """Takes a few seconds with four calls in flight."""
    return {
        "mode": "chat",
        "models": ["simulated/gold"],
        "params": {"extra": {"simulated": {"latency_ms": 300, "latency_sigma": 0.3}}},
        "jobs": [{"custom_id": f"q{n}", "prompt": f"Question {n}?"} for n in range(JOBS)],
    }


def is_under_way(server: UpServer, batch_id: str) -> bool:
    closed: int = server.request("GET", f"/v1/batches/{batch_id}")["counts"]["calls"]["closed"]
    return closed > 0


def test_it_says_its_key_once_and_where_it_listens(up: UpServer) -> None:
    assert up.log.count(up.api_key) == 1
    assert len(re.findall(r"^Overnight listens on .*$", up.log, re.MULTILINE)) == 1
    assert up.request("GET", "/v1/batches")["data"] == []


def test_what_is_secret_is_ours_alone(up: UpServer) -> None:
    for name in ("", "api-key", "byok-encryption-key"):
        assert stat.S_IMODE((up.directory / name).stat().st_mode) & 0o077 == 0


def test_a_second_one_on_the_same_directory_is_refused(up: UpServer) -> None:
    refused = start_another(up.environment)
    assert refused.returncode == 1
    assert f"pid {up.pid}" in refused.stderr
    assert str(up.directory) in refused.stderr


def test_a_port_that_is_taken_is_said_so(up: UpServer, tmp_path: Path) -> None:
    port = up.url.rpartition(":")[2]
    refused = start_another(environment_of(tmp_path, OVERNIGHT_PORT=port))
    assert refused.returncode == 1
    assert f"port {port}" in refused.stderr
    assert "OVERNIGHT_PORT" in refused.stderr


def test_the_doctor_finds_it_well(up: UpServer) -> None:
    ran = up.run("doctor", "--json")
    findings = json.loads(ran.stdout)["findings"]
    assert {finding["level"] for finding in findings} == {"ok"}
    assert ran.returncode == 0


def test_the_doctor_finds_no_system_where_none_is(tmp_path: Path) -> None:
    ran = run_overnight(environment_of(tmp_path / "data", OVERNIGHT_PORT="1"), "doctor")
    assert ran.returncode == 1
    assert "overnight up" in ran.stdout
    assert not (tmp_path / "data").exists()


def test_a_wrong_key_is_named_by_its_last_characters(up: UpServer) -> None:
    ran = up.run("batches", OVERNIGHT_API_KEY=WRONG_KEY)
    assert ran.returncode == 4
    assert f"…{WRONG_KEY[-4:]} from OVERNIGHT_API_KEY" in ran.stderr
    assert WRONG_KEY not in ran.stderr


def test_an_api_that_is_not_there_is_to_be_started(up: UpServer) -> None:
    ran = run_overnight(up.environment | {"OVERNIGHT_URL": "http://127.0.0.1:1"}, "batches")
    assert ran.returncode == 3
    assert "`overnight up`" in ran.stderr


def test_the_command_line_takes_a_batch_from_submit_to_report(up: UpServer) -> None:
    models = ("--model", "simulated/gold", "--model", "simulated/tin")
    words = ("--prompt", "One?", "--prompt", "Two?", "--judge", "simulated/judge")
    ran = up.run("submit", *models, *words, "--criteria", "correct", "--wait", "--json")
    assert ran.returncode == 0, ran.stderr
    batch_id = json.loads(ran.stdout)["id"]
    results = up.run("results", batch_id, "--jsonl").stdout.splitlines()
    assert [json.loads(line)["state"] for line in results] == ["succeeded", "succeeded"]
    report = json.loads(up.run("report", batch_id, "--json").stdout)
    assert {entry["label"] for entry in report["leaderboard"]} == {
        "simulated/gold",
        "simulated/tin",
    }
    assert batch_id in up.run("batches").stdout


def test_credits_are_granted_on_this_machine_and_seen_by_the_api(up: UpServer) -> None:
    for _ in range(2):
        ran = up.run("credits", "grant", "--usd", "2.50", "--idempotency-key", "once")
        assert ran.returncode == 0, ran.stderr
    assert up.request("GET", "/v1/credits")["available_nanos"] == 2_500_000_000


@pytest.mark.parametrize(
    "name", ["valkey-server", "api.cli", "workers.worker", "workers.scheduler"]
)
def test_a_process_that_is_killed_is_started_again(up: UpServer, name: str) -> None:
    killed = up.child(name)
    killed.kill()
    assert wait_for(lambda: has_ended(killed))

    def is_back() -> bool:
        try:
            return up.child(name).pid != killed.pid
        except (ValueError, psutil.NoSuchProcess):
            return False

    assert wait_for(is_back)
    # The supervisor holds the socket, so that the API's absence is a pause and no refusal.
    assert up.request("GET", "/healthz")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory whose path is too long for a socket in it."""
    return tmp_path_factory.mktemp("d" * 80)


@pytest.fixture(scope="module")
def slow_up(place: Path) -> Iterator[UpServer]:
    with up_server(place / "data", place / "log", **SLOW) as server:
        yield server


def test_sigterm_to_all_of_them_twice_loses_nothing_and_leaves_nothing(slow_up: UpServer) -> None:
    assert slow_up.run("doctor").returncode == 0
    batch_id = slow_up.request("POST", "/v1/batches", json=slow_batch())["id"]
    assert wait_for(lambda: is_under_way(slow_up, batch_id))
    family = slow_up.family()
    slow_up.send(signal.SIGTERM, to_group=True)
    slow_up.send(signal.SIGTERM, to_group=True)
    assert slow_up.ends() == 0
    assert all_ended(family)
    slow_up.start()
    done = slow_up.run("watch", batch_id, "--json")
    assert done.returncode == 0, done.stderr
    batch = json.loads(done.stdout)
    assert batch["counts"]["jobs"]["succeeded"] == JOBS
    assert batch["cost"]["unknown_attempts"] == 0  # what was in flight was waited for


def half_an_upload(server: UpServer) -> Path:
    """What is left of one whose process died two days ago."""
    part = server.directory / "files" / "file_made_up.0123456789abcdef.part"
    part.parent.mkdir(exist_ok=True)
    part.write_bytes(b'{"custom_id":')
    long_ago = time.time() - 2 * 86_400
    os.utime(part, (long_ago, long_ago))
    return part


def test_a_supervisor_that_is_killed_takes_all_with_it_and_a_restart_goes_on(
    slow_up: UpServer,
) -> None:
    batch_id = slow_up.request("POST", "/v1/batches", json=slow_batch())["id"]
    assert wait_for(lambda: is_under_way(slow_up, batch_id))
    family = slow_up.family()
    slow_up.send(signal.SIGKILL)
    assert slow_up.ends() == -signal.SIGKILL
    assert all_ended(family)
    left = half_an_upload(slow_up)
    slow_up.start()
    assert wait_for(lambda: not left.exists())
    done = slow_up.run("watch", batch_id, "--json")
    assert done.returncode == 0, done.stderr
    lines = slow_up.run("results", batch_id, "--jsonl").stdout.splitlines()
    assert [json.loads(line)["state"] for line in lines] == ["succeeded"] * JOBS
    slow_up.send(signal.SIGINT)
    assert slow_up.ends() == 0
    assert slow_up.log.count("API key, shown this once") == 1
    (broker,) = set(re.findall(r'"broker_url": "unix://([^"]+)"', slow_up.lock))
    assert not Path(broker).parent.exists()  # it had a folder of its own


@pytest.mark.parametrize("is_stuck", [False, True])
def test_a_broker_that_was_left_behind_is_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, is_stuck: bool
) -> None:
    monkeypatch.setattr("workers.supervisor.valkey.END_TIMEOUT_S", 0.5)
    left = EmbeddedValkey(tmp_path)
    child = Child(left.program().command, log=tmp_path / "log")
    child.wait_until(left.answers)
    if is_stuck:
        os.kill(child.pid, signal.SIGSTOP)
    EmbeddedValkey(tmp_path).clear_the_way()
    assert wait_for(lambda: not child.is_running)
    assert not left.answers()
    assert not left.pid_file.exists()


def test_a_guard_ends_the_children_of_a_parent_that_is_gone() -> None:
    sleeper = subprocess.Popen(["sleep", "60"], start_new_session=True)
    try:
        guard = subprocess.Popen(
            [sys.executable, "-P", "-m", "workers.supervisor.guard"],
            stdin=subprocess.PIPE,
            start_new_session=True,
        )
        guard.communicate(f"+{sleeper.pid}\n".encode(), timeout=30)
        assert sleeper.wait(timeout=10) == -signal.SIGKILL
    finally:
        sleeper.kill()
        sleeper.wait()


def test_a_json_line_can_be_found_below_other_words() -> None:
    assert last_json('words\n{"demo": "ok"}\n') == {"demo": "ok"}
