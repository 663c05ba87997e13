"""The demonstrations, as `make demo` and `make demo-local` run them."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.servers import family_of, wait_for
from tests.servers.overnight import all_ended, last_json

DEMO_MAX_S = 60


def start_demo(tmp_path: Path, *words: str) -> subprocess.Popen[str]:
    """A demonstration whose every temporary file is below a directory of ours."""
    return subprocess.Popen(
        [sys.executable, "-P", "-m", "api.cli", "demo", *words],
        env={**os.environ, "TMPDIR": str(tmp_path)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def test_the_demonstration_recovers_the_planted_order_and_is_told_of_its_end(
    tmp_path: Path,
) -> None:
    demo = start_demo(tmp_path)
    out, err = demo.communicate(timeout=120)
    line = last_json(out)
    assert demo.returncode == 0, out + err
    assert line["demo"] == "ok"
    assert line["jobs"] >= 40
    assert line["batches"] == 4
    assert line["jobs"] == 48 + 3 * 10
    assert line["calls"] >= 48 * (4 + 2) + 10 * 3 + 10 * (3 + 1 + 1)
    assert line["webhooks_verified"] >= 4
    assert "The leaderboard has the planted order." in out
    assert "simulated/bronze failed (503), simulated/silver succeeded" in out
    assert line["seconds"] < DEMO_MAX_S
    assert "no model is called" in out
    assert list(tmp_path.iterdir()) == []


def test_a_demonstration_that_is_stopped_cleans_up_too(tmp_path: Path) -> None:
    demo = start_demo(tmp_path)
    assert wait_for(lambda: len(family_of(demo.pid)) > 5, timeout_s=30)
    family = family_of(demo.pid)
    os.killpg(demo.pid, signal.SIGTERM)
    os.killpg(demo.pid, signal.SIGINT)
    out, _ = demo.communicate(timeout=30)
    assert demo.returncode == 1
    assert last_json(out) == {"demo": "failed", "why": "interrupted"}
    assert all_ended(family)
    assert list(tmp_path.iterdir()) == []


def test_a_demonstration_that_is_killed_leaves_no_process(tmp_path: Path) -> None:
    demo = start_demo(tmp_path)
    assert wait_for(lambda: len(family_of(demo.pid)) > 5, timeout_s=30)
    family = family_of(demo.pid)
    demo.kill()
    demo.communicate(timeout=30)
    assert all_ended(family)


@pytest.mark.timeout(300)
def test_a_real_model_on_this_machine_answers_and_is_judged(tmp_path: Path) -> None:
    demo = start_demo(tmp_path, "--local", "--jobs", "1")
    out, err = demo.communicate(timeout=240)
    line = last_json(out)
    assert demo.returncode == 0, out + err
    assert line["demo_local"] == "ok"
    assert line["jobs"] == 3
    assert line["output_tokens"] > 0
    assert line["verdicts"] + line["abstained"] == 1
    assert line["webhooks_verified"] == 3
    assert "(self_moa)" in out
    assert "form of a\njudgement, not the sense" in out
    assert list(tmp_path.iterdir()) == []
