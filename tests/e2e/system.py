"""A whole installation as the Procfile describes it, on servers of the test's own."""

import json
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import psutil

from app.accounts.api_keys import Scope, create_api_key
from app.db import Store
from app.pipeline.accounts import make_account
from app.pipeline.laws import check_laws
from app.settings import child_environment
from app.vault.master import Vault, new_fernet_key
from tests.servers import Child, ValkeyServer, family_of, has_ended, wait_for

ROOT = Path(__file__).parents[2]
CLOSED = {"completed", "failed", "expired", "cancelled"}
#: Short enough for a test to wait for, long enough for a busy machine to renew in.
LEASE_S = "4"
RECONCILE_S = "1"


def procfile() -> dict[str, list[str]]:
    """The Procfile's commands, by process name."""
    lines = (ROOT / "Procfile").read_text().splitlines()
    named = [line.partition(":") for line in lines if line.strip()]
    return {name: command.split() for name, _, command in named}


def free_port() -> int:
    """A loopback port nobody listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


class System:
    """The Procfile's processes, an account, and a client for its API."""

    def __init__(self, directory: Path, store_url: str, valkey: ValkeyServer, **env: str) -> None:
        self.directory = directory
        self.valkey = valkey
        self.store = Store(store_url)
        self.port = free_port()
        self.master_key = new_fernet_key()
        self.vault = Vault(self.master_key)
        self.env = child_environment(
            DATABASE_URL=store_url,
            REDIS_URL=valkey.url,
            BYOK_ENCRYPTION_KEY=self.master_key,
            OVERNIGHT_DATA_DIR=str(directory),
            OVERNIGHT_PORT=str(self.port),
            OVERNIGHT_LEASE_S=LEASE_S,
            OVERNIGHT_RECONCILE_INTERVAL_S=RECONCILE_S,
            OVERNIGHT_GRACE_S="10",
            OVERNIGHT_TRUSTED_HOSTS="127.0.0.0/8,localhost",
            PYTHONPATH=str(ROOT),
            **env,
        )
        self.processes: dict[str, Child] = {}
        with self.store.transaction() as tx:
            self.account_id = make_account(tx, self.vault, "e2e").id
            key = create_api_key(tx, self.account_id, "e2e", Scope)
        self.api_key = key.value.reveal()
        self.client = httpx.Client(
            base_url=f"http://127.0.0.1:{self.port}",
            headers={"Authorization": f"Bearer {self.api_key}"},
            timeout=30,
        )

    def start(self, *names: str, wait: bool = True) -> None:
        """Start processes of the Procfile, and wait for the API if it is among them."""
        commands = procfile()
        for name in names:
            program, *arguments = commands[name.partition("-")[0]]
            executable = Path(sys.executable).parent / program
            self.processes[name] = Child(
                [executable, *arguments], log=self.directory / f"{name}.log", env=self.env
            )
        if wait and "api" in names:
            self.processes["api"].wait_until(self._answers, timeout_s=60)

    def _answers(self) -> bool:
        try:
            return self.client.get("/healthz").is_success
        except httpx.HTTPError:
            return False

    def kill9(self, name: str) -> None:
        """End a process with no chance to say goodbye."""
        for process in family_of(self.processes[name].pid):
            process.send_signal(signal.SIGKILL)
        wait_for(lambda: not self.processes[name].is_running)

    def submit(self, prompts: int, latency_ms: float = 200, **body: Any) -> str:
        """Submit a batch of simulated calls; answers its id."""
        given = {
            "mode": "chat",
            "models": ["simulated/gold"],
            "params": {"extra": {"simulated": {"latency_ms": latency_ms, "latency_sigma": 0.1}}},
            "jobs": [{"custom_id": f"c{n}", "prompt": f"prompt {n}"} for n in range(prompts)],
            **body,
        }
        answer = self.client.post("/v1/batches", json=given)
        assert answer.status_code == 201, answer.text
        return str(answer.json()["id"])

    def batch(self, batch_id: str) -> dict[str, Any]:
        """The batch as the API shows it."""
        answer = self.client.get(f"/v1/batches/{batch_id}")
        assert answer.status_code == 200, answer.text
        shown: dict[str, Any] = answer.json()
        return shown

    def wait(
        self, batch_id: str, until: Callable[[Mapping[str, Any]], bool], within_s: float
    ) -> Any:
        """The batch as soon as it is so."""
        deadline = time.monotonic() + within_s
        while True:
            try:
                shown = self.batch(batch_id)
                if until(shown):
                    return shown
            except httpx.HTTPError:
                shown = {}
            assert time.monotonic() < deadline, (
                f"not so within {within_s} s: {shown}\n{self.logs()}"
            )
            time.sleep(0.05)

    def wait_closed(self, batch_id: str, within_s: float = 60) -> dict[str, Any]:
        """The batch when it is closed."""
        closed: dict[str, Any] = self.wait(
            batch_id, lambda shown: shown["state"] in CLOSED, within_s
        )
        return closed

    def wait_under_way(self, batch_id: str, calls: int) -> None:
        """Until so many of its calls are done."""
        self.wait(batch_id, lambda shown: shown["counts"]["calls"]["closed"] >= calls, 120)

    def results(self, batch_id: str) -> list[dict[str, Any]]:
        """Every result line."""
        answer = self.client.get(f"/v1/batches/{batch_id}/results", params={"format": "jsonl"})
        assert answer.status_code == 200, answer.text
        return [json.loads(line) for line in answer.text.split("\n") if line]

    def check_laws(self) -> None:
        """Fail if a law of the data is broken."""
        with self.store.read() as session:
            assert check_laws(session, self.store) == []

    def logs(self) -> str:
        """The end of what every process printed."""
        return "\n".join(f"== {name}\n{child.tail()}" for name, child in self.processes.items())

    def stop(self) -> None:
        """End everything."""
        for child in self.processes.values():
            child.stop()
        self.client.close()
        self.store.close()


@contextmanager
def system_of(
    directory: Path, store_url: str, valkey: ValkeyServer, **env: str
) -> Iterator[System]:
    """An installation with its four processes running, ended afterwards."""
    made = System(directory, store_url, valkey, **env)
    try:
        made.start("api", "worker", "scheduler")
        yield made
    finally:
        made.stop()


def ended(processes: list[psutil.Process], within_s: float) -> bool:
    """Whether all of them have ended in time."""
    return wait_for(lambda: all(map(has_ended, processes)), timeout_s=within_s)
