"""The master key is changed under a whole installation that goes on working."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.accounts.audit import actions_of
from tests.e2e.conftest import migrate
from tests.e2e.system import System
from tests.fakes.provider import FakeProvider, answer
from tests.servers import ValkeyServer

PROVIDER = "custom:rotating"


def overnight(system: System, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a command of this system's operator."""
    program = str(Path(sys.executable).parent / "overnight")
    return subprocess.run(
        [program, *arguments], env=system.env, capture_output=True, text=True, check=False
    )


def set_key(system: System, provider: FakeProvider, key: str) -> None:
    answered = system.client.put(
        f"/v1/settings/keys/{PROVIDER}", json={"api_key": key, "base_url": provider.url}
    )
    assert answered.is_success, answered.text


@pytest.fixture
def system(tmp_path: Path, own_valkey: ValkeyServer) -> Iterator[System]:
    """An installation whose master key is in a file."""
    url = f"sqlite:///{tmp_path / 'overnight.db'}"
    migrate(url)
    made = System(tmp_path, url, own_valkey)
    key_file(made).write_text(made.master_key)
    made.env.update(BYOK_ENCRYPTION_KEY="", BYOK_ENCRYPTION_KEY_FILE=str(key_file(made)))
    try:
        made.start("api", "worker", "scheduler")
        yield made
    finally:
        made.stop()


def key_file(system: System) -> Path:
    return system.directory / "master-keys"


def test_k6_rotate_keys_during_a_sweep_fails_no_call_and_then_the_old_key_can_go(
    system: System,
) -> None:
    with FakeProvider() as provider:
        provider.reply_with(*[answer("fine")] * 60)
        set_key(system, provider, "sk-canary-rotation-1")
        first = system.submit(20, models=[f"{PROVIDER}/m"], params={})
        ran = overnight(system, "rotate-keys", "--new-key", "--forget-old", "--json")
        assert ran.returncode == 0, ran.stderr
        told = json.loads(ran.stdout)
        assert (told["rewrapped"], told["left"], len(told["forgotten"])) == (1, {}, 1)
        assert system.master_key not in key_file(system).read_text() + ran.stdout + ran.stderr
        # A key that is set now is sealed, and opened by the worker, under the new one.
        set_key(system, provider, "sk-canary-rotation-2")
        second = system.submit(20, models=[f"{PROVIDER}/m"], params={})
        for batch_id in (first, second):
            closed = system.wait_closed(batch_id)
            assert closed["counts"]["jobs"]["succeeded"] == 20, closed
    with system.store.read() as session:
        done = [one.action for one in actions_of(session, None)]
    assert done[:3] == ["provider_key.set", "master_key.rotated", "provider_key.set"]


def test_k7_nobody_starts_with_a_key_that_was_forgotten(system: System) -> None:
    ran = overnight(system, "rotate-keys", "--new-key", "--forget-old", "--json")
    assert ran.returncode == 0, ran.stderr
    key_file(system).write_text(system.master_key)
    refused = overnight(system, "scheduler")
    assert refused.returncode == 1
    assert json.loads(ran.stdout)["current"] in refused.stderr
    assert system.master_key not in refused.stderr
