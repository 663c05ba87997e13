"""A whole Overnight as `overnight up` runs it, and its command line, as processes."""

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import psutil

from tests.servers.processes import Child, ServerError, family_of, has_ended, wait_for

START_MAX_S = 120.0
END_MAX_S = 60.0
_ADDRESS = re.compile(r"listens on (http://\S+)")
#: What of the environment would reach another system.
_NOT_OURS = (
    "BYOK_ENCRYPTION_KEY",
    "DATABASE_URL",
    "OVERNIGHT_API_KEY",
    "OVERNIGHT_TRUSTED_HOSTS",
    "OVERNIGHT_URL",
    "REDIS_URL",
)


class UpServer:
    """Everything on one data directory. Use `up_server()`, which also takes it down."""

    def __init__(self, directory: Path, log: Path, **settings: str) -> None:
        self.directory = directory
        self.environment = environment_of(directory, **settings)
        self._log = log
        self._child: Child | None = None

    @property
    def pid(self) -> int:
        """The process id of the supervisor."""
        return self._running().pid

    @property
    def is_running(self) -> bool:
        """Whether its supervisor is."""
        return self._child is not None and self._child.is_running

    @property
    def log(self) -> str:
        """All it said so far."""
        return self._log.read_text(errors="replace")

    @property
    def url(self) -> str:
        """Where its API is."""
        return _ADDRESS.findall(self.log)[-1]

    @property
    def lock(self) -> str:
        """What the file of its lock says."""
        return (self.directory / "up.lock").read_text()

    @property
    def api_key(self) -> str:
        """The local account's."""
        return (self.directory / "api-key").read_text().strip()

    def start(self, *, wait: bool = True) -> None:
        """Start it, and wait until it says that it listens."""
        before = self.log.count("listens on") if self._log.exists() else 0
        self._child = Child(
            [sys.executable, "-P", "-m", "workers.up"], log=self._log, env=self.environment
        )
        if wait:
            self._child.wait_until(
                lambda: self.log.count("listens on") > before, timeout_s=START_MAX_S
            )

    def child(self, name: str) -> psutil.Process:
        """One of its processes, known by its command line."""
        (found,) = (
            process
            for process in family_of(self.pid)[1:]
            if name in " ".join([process.name(), *process.cmdline()])
        )
        return found

    def family(self) -> list[psutil.Process]:
        """All of its processes."""
        return family_of(self.pid)

    def send(self, number: signal.Signals, *, to_group: bool = False) -> None:
        """Send the supervisor a signal, or its whole process group."""
        (os.killpg if to_group else os.kill)(self.pid, number)

    def ends(self) -> int | None:
        """Its exit code once it has ended; None if it does not."""
        child = self._running()
        wait_for(lambda: not child.is_running, timeout_s=END_MAX_S)
        return child.exit_code

    def kill9(self) -> None:
        """Kill every process at once."""
        self._running().kill9()

    def stop(self) -> None:
        """Stop it in good order, and insist."""
        if self._child is None:
            return
        if self._child.is_running:
            self.send(signal.SIGTERM)
        if self.ends() is None:
            self.kill9()

    def request(self, method: str, path: str, **options: Any) -> Any:
        """What its API answers."""
        headers = {"Authorization": f"Bearer {self.api_key}"}
        answer = httpx.request(
            method, self.url + path, headers=headers, timeout=30, trust_env=False, **options
        )
        if not answer.is_success:
            raise ServerError(answer.text)
        return answer.json()

    def run(self, *words: str, **settings: str) -> subprocess.CompletedProcess[str]:
        """Run a command of the command line against it."""
        return run_overnight(self.environment | {"OVERNIGHT_URL": self.url} | settings, *words)

    def _running(self) -> Child:
        if self._child is None:
            raise ServerError("it was not started")
        return self._child


def environment_of(directory: Path, **settings: str) -> dict[str, str]:
    """The environment of a system of its own, on any free port."""
    kept = {name: value for name, value in os.environ.items() if name not in _NOT_OURS}
    ours = {
        "OVERNIGHT_DATA_DIR": str(directory),
        "OVERNIGHT_PORT": "0",
        "OVERNIGHT_WORKER_PROCESSES": "1",
        "OVERNIGHT_GRACE_S": "10",
    }
    return kept | ours | settings


def run_overnight(environment: Mapping[str, str], *words: str) -> subprocess.CompletedProcess[str]:
    """Run a command of the command line."""
    return subprocess.run(
        [sys.executable, "-P", "-m", "api.cli", *words],
        env=dict(environment),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def last_json(text: str) -> dict[str, Any]:
    """The last line, which is JSON."""
    found: dict[str, Any] = json.loads(text.strip().splitlines()[-1])
    return found


def all_ended(processes: list[psutil.Process]) -> bool:
    """Whether all of them end soon."""
    return wait_for(lambda: all(map(has_ended, processes)))


@contextmanager
def up_server(directory: Path, log: Path, **settings: str) -> Iterator[UpServer]:
    """A running system for the block."""
    server = UpServer(directory, log, **settings)
    try:
        server.start()
        yield server
    finally:
        server.stop()
