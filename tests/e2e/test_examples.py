"""The examples run as their page says, against a fresh `overnight up`."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.servers.overnight import UpServer, up_server

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[UpServer]:
    place = tmp_path_factory.mktemp("up")
    with up_server(place / "data", place / "log") as server:
        yield server


def run(up: UpServer, *words: str, **more: str) -> subprocess.CompletedProcess[str]:
    bin_ = str(Path(sys.executable).parent)
    ours = {"PATH": f"{bin_}:{os.environ['PATH']}", "OVERNIGHT_URL": up.url}
    environment = up.environment | ours | more
    return subprocess.run(
        words, env=environment, capture_output=True, text=True, check=False, timeout=120
    )


def output_of(done: subprocess.CompletedProcess[str]) -> list[str]:
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.splitlines()


def test_a_batch_is_submitted_and_read(up: UpServer) -> None:
    first, *answers = output_of(run(up, sys.executable, str(EXAMPLES / "submit_batch.py")))
    assert first.endswith(" is completed")
    assert [line.split("  ")[:2] for line in answers] == [
        [name, f"simulated/{model}"]
        for name in ("sky", "tea", "bridge")
        for model in ("gold", "bronze")
    ]
    again = run(up, sys.executable, str(EXAMPLES / "submit_batch.py"), "openai/gpt-5.2")
    assert again.returncode == 1
    assert "there is no key for 'openai'" in again.stderr


def test_a_webhook_is_received_and_verified(up: UpServer) -> None:
    lines = output_of(run(up, sys.executable, str(EXAMPLES / "receive_webhooks.py")))
    assert lines == [
        "told of batch.completed",
        "sky  simulated/gold  succeeded",
        "sky  simulated/bronze  succeeded",
    ]


def test_a_sweep_is_estimated_run_ranked_and_gated(up: UpServer) -> None:
    script = str(EXAMPLES / "sweep/run.sh")
    lines = output_of(run(up, "sh", script))
    shown = "\n".join(lines)
    assert "6 jobs, 54 calls" in shown
    assert "Leaderboard" in shown
    assert '"dark-sky"' in lines[-1]
    failed = run(up, "sh", script, GATE='score("gold temperature=0#1") > 10.5')
    assert failed.returncode == 1
    assert "does not hold" in failed.stderr
