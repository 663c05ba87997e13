"""The master key is changed under a whole installation that goes on working."""

import json
import subprocess
import sys
from pathlib import Path

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


def test_k6_rotate_keys_during_a_sweep_fails_no_call_and_then_the_old_key_can_go(
    tmp_path: Path, own_valkey: ValkeyServer
) -> None:
    url = f"sqlite:///{tmp_path / 'overnight.db'}"
    migrate(url)
    system = System(tmp_path, url, own_valkey)
    file = tmp_path / "master-keys"
    file.write_text(system.master_key)
    system.env.update(BYOK_ENCRYPTION_KEY="", BYOK_ENCRYPTION_KEY_FILE=str(file))
    with FakeProvider() as provider:
        provider.reply_with(*[answer("fine")] * 60)
        try:
            system.start("api", "worker", "scheduler")
            set_key(system, provider, "sk-canary-rotation-1")
            first = system.submit(20, models=[f"{PROVIDER}/m"], params={})
            ran = overnight(system, "rotate-keys", "--new-key", "--forget-old", "--json")
            assert ran.returncode == 0, ran.stderr
            told = json.loads(ran.stdout)
            assert (told["rewrapped"], told["left"], len(told["forgotten"])) == (1, {}, 1)
            assert system.master_key not in file.read_text() + ran.stdout + ran.stderr
            # A key that is set now is sealed, and opened by the worker, under the new one.
            set_key(system, provider, "sk-canary-rotation-2")
            second = system.submit(20, models=[f"{PROVIDER}/m"], params={})
            for batch_id in (first, second):
                closed = system.wait_closed(batch_id)
                assert closed["counts"]["jobs"]["succeeded"] == 20, closed
            assert overnight(system, "rotate-keys").returncode == 0
            with system.store.read() as session:
                done = [one.action for one in actions_of(session, None)]
            assert done == [
                *("master_key.rotated", "provider_key.set"),
                *("master_key.rotated", "provider_key.set"),
            ]
            # Nobody starts with the old one any more, and is told which ones are missing.
            file.write_text(system.master_key)
            refused = overnight(system, "scheduler")
            assert refused.returncode == 1
            assert told["current"] in refused.stderr
            assert system.master_key not in refused.stderr
        finally:
            system.stop()
