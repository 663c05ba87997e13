"""The two ways to run Overnight, as something that faults can be done to."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Protocol

import httpx
import psutil
import redis
import sqlalchemy as sa

from app.billing import ledger
from app.db import Store
from tests.e2e.conftest import migrate
from tests.e2e.system import System, free_port
from tests.servers import PostgresServer, ValkeyServer, postgres_server, valkey_server
from tests.servers.overnight import UpServer
from tests.servers.processes import family_of

#: All that anybody will spend here.
CREDITS_NANOS = 10**15
#: A lost answer must not hold up the end; leases and intervals are the defaults.
ENVIRONMENT = {
    "OVERNIGHT_ATTEMPT_TIMEOUT_S": "10",
    "OVERNIGHT_GRACE_S": "5",
    "OVERNIGHT_LOG_LEVEL": "INFO",
}
#: How each of its processes is known by its command line.
_COMMANDS = {"api": "api.cli", "worker": "workers.worker", "scheduler": "workers.scheduler"}
_DEFAULTS = ("OVERNIGHT_LEASE_S", "OVERNIGHT_RECONCILE_INTERVAL_S")


class Place(Protocol):
    """A running system, its processes by name, and what may be done to it."""

    name: str
    targets: tuple[str, ...]
    store_url: str
    account_id: str
    directory: Path
    client: httpx.Client

    def family(self, target: str) -> list[psutil.Process]:
        """A process and what descends from it; none while it is down."""
        ...

    def revive(self) -> None:
        """Start whatever is not running."""
        ...

    def flush(self) -> None:
        """Wipe the broker."""
        ...

    def kill_broker(self) -> None:
        """Kill it; `revive` starts it again, empty."""
        ...

    def kill_store(self) -> None:
        """Kill it with all its processes; `revive` starts it again."""
        ...

    def kill_all(self) -> None:
        """Kill every process of ours at once."""
        ...


class Production:
    """The Procfile's processes, with two workers, on PostgreSQL and Valkey."""

    name = "postgresql"
    targets = ("api", "worker-1", "worker-2", "scheduler")

    def __init__(
        self, directory: Path, postgres: PostgresServer, valkey: ValkeyServer, url: str, **env: str
    ) -> None:
        self.store_url = url
        self.directory = directory
        self._postgres = postgres
        self._valkey = valkey
        self._broker_is_up = self._store_is_up = True
        directory.mkdir(parents=True, exist_ok=True)
        self.system = System(directory, url, valkey, **env)
        self.system.env.update(ENVIRONMENT)
        for name in _DEFAULTS:
            self.system.env.pop(name)
        self.account_id, self.client = self.system.account_id, self.system.client

    def family(self, target: str) -> list[psutil.Process]:
        child = self.system.processes.get(target)
        return family_of(child.pid) if child is not None and child.is_running else []

    def revive(self) -> None:
        if not self._store_is_up:
            self._postgres.start()
        if not self._broker_is_up:
            self._valkey.start()
        self._broker_is_up = self._store_is_up = True
        running = self.system.processes
        down = [
            name for name in self.targets if name not in running or not running[name].is_running
        ]
        if down:
            self.system.start(*down, wait=False)

    def flush(self) -> None:
        self._valkey.flushall()

    def kill_broker(self) -> None:
        self._valkey.kill9()
        self._broker_is_up = False

    def kill_store(self) -> None:
        self._postgres.kill9()
        self._store_is_up = False

    def kill_all(self) -> None:
        for target in self.targets:
            kill(self.family(target))


class Embedded:
    """`overnight up`: SQLite, a Valkey of its own, and a supervisor that starts what has died."""

    name = "sqlite"
    targets = ("up", "api", "worker", "scheduler")

    def __init__(self, directory: Path, **env: str) -> None:
        self.directory = directory
        self.store_url = f"sqlite:///{directory / 'overnight.db'}"
        port = str(free_port())
        self.up = UpServer(
            directory, directory / "up.log", OVERNIGHT_PORT=port, **env, **ENVIRONMENT
        )
        directory.mkdir(parents=True, exist_ok=True)
        self.up.start()
        self.client = httpx.Client(
            base_url=self.up.url,
            headers={"Authorization": f"Bearer {self.up.api_key}"},
            timeout=30,
            trust_env=False,
        )
        store = Store(self.store_url)
        with store.read() as session:
            self.account_id = str(session.connection().scalar(sa.text("SELECT id FROM account")))
        store.close()

    def family(self, target: str) -> list[psutil.Process]:
        if target == "up":
            return self.up.family() if self.up.is_running else []
        with suppress(ValueError, psutil.Error):
            return family_of(self.up.child(_COMMANDS[target]).pid)
        return []

    def revive(self) -> None:
        if not self.up.is_running:
            self.up.start(wait=False)

    def flush(self) -> None:
        with redis.Redis.from_url(f"unix://{self.directory / 'valkey.sock'}") as client:
            client.flushall()

    def kill_broker(self) -> None:
        with suppress(ValueError, psutil.Error):
            kill([self.up.child("valkey-server")])

    def kill_store(self) -> None:
        raise NotImplementedError("SQLite has no process")

    def kill_all(self) -> None:
        kill(self.up.family())


def kill(processes: list[psutil.Process]) -> None:
    """kill -9 all of them, and see them gone."""
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(processes, timeout=10)


def terminate_group(process: psutil.Process) -> None:
    """SIGTERM to a whole process group, twice."""
    for _ in range(2):
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)


@contextmanager
def production(directory: Path, **env: str) -> Iterator[Place]:
    """The one for many machines, on this one."""
    with (
        postgres_server(fsync=True) as postgres,
        valkey_server() as valkey,
        postgres.database() as url,
    ):
        migrate(url)
        place = Production(directory, postgres, valkey, url, **env)
        try:
            place.system.start(*place.targets)
            yield place
        finally:
            place.system.stop()


@contextmanager
def embedded(directory: Path, **env: str) -> Iterator[Place]:
    """The one for a single machine."""
    place = Embedded(directory, **env)
    try:
        yield place
    finally:
        place.client.close()
        place.up.stop()


def grant_credits(place: Place) -> None:
    """Enough for everything."""
    store = Store(place.store_url)
    with store.transaction() as tx:
        ledger.grant(tx, store, place.account_id, CREDITS_NANOS, idempotency_key="c", note=None)
    store.close()
