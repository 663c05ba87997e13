"""Overnight as it runs in production, in miniature: a store, a Valkey and worker processes."""

import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import msgspec
from sqlalchemy import text

from app.accounts.accounts import AccountKeys, create_account
from app.domain.ids import Prefix, new_id
from app.domain.secret import Secret
from app.domain.spec import BatchBody
from app.migrations import upgrade
from app.models import Account, Batch
from app.pipeline.lines import jsonl_lines
from app.pipeline.services import build_services
from app.pipeline.submit import Submission, submit
from app.settings import Settings, child_environment
from app.vault.master import new_fernet_key
from app.vault.provider_keys import KeySetting, set_provider_key
from app.vault.webhook_secrets import seal_webhook_secret
from app.webhooks.signing import new_secret
from tests.bench.meters import CpuMeter, Run, rss_max_bytes, steady_rate
from tests.bench.mock import MockProvider
from tests.bench.prompts import lines_of
from tests.servers import Child, PostgresServer, ServerError, ValkeyServer, wait_for
from tests.servers.places import temporary_directory

PROVIDER, MODEL = "custom:bench", "custom:bench/bench-1"
SQLITE, POSTGRESQL = "sqlite", "postgresql"
STORES = (SQLITE, POSTGRESQL)
_READY_MAX_S = 120.0


@dataclass(frozen=True, slots=True)
class Servers:
    """What every system is built on; one of each for the whole bench."""

    postgres: PostgresServer
    valkey: ValkeyServer
    provider: MockProvider


class System:
    """One installation on an empty store. Use `system()`."""

    def __init__(
        self, kind: str, servers: Servers, environment: Mapping[str, str], directory: Path
    ) -> None:
        self.kind = kind
        self.environment = environment
        self.services = build_services(Settings.model_validate(environment))
        self.directory = directory
        self._servers = servers
        self.provider = servers.provider
        self.workers: list[Child] = []

    def new_account(self, name: str) -> str:
        """An account with a key for the provider; its calls are noted under that name."""
        services, account_id = self.services, new_id(Prefix.ACCOUNT)
        wrapped, kid = services.vault.new_data_key(account_id)
        data_key = services.vault.data_key(account_id, wrapped, kid)
        sealed = seal_webhook_secret(data_key, account_id, new_secret())
        setting = KeySetting(PROVIDER, Secret("sk-bench"), self.provider.base_url(name))
        with services.store.transaction() as tx:
            create_account(tx, AccountKeys(account_id, wrapped, kid, sealed), name)
            account = tx.get_one(Account, account_id)
            set_provider_key(tx, services.vault, account, setting)
        return account_id

    def new_worker(self) -> str:
        """A worker that is only in the store, with an hour's lease."""
        worker_id, store = new_id(Prefix.WORKER), self.services.store
        statement = store.sql(
            "INSERT INTO worker (id, host, pid, version, started_at, lease_until, writer_lag_ms) "
            "VALUES (:id, 'bench', 1, '0', {now}, {after_ms(3600000)}, 0)"
        )
        with store.transaction() as tx:
            tx.execute(statement, {"id": worker_id})
        return worker_id

    def submit(self, account_id: str, lines: Iterable[bytes], mode: str = "compare") -> str:
        """Submit the lines of an input file; the batch's id."""
        body = BatchBody.model_validate_json(msgspec.json.encode({"mode": mode, "models": [MODEL]}))
        return submit(self.services, Submission(account_id, body, jsonl_lines(lines))).batch_id

    def batch(self, batch_id: str) -> Batch:
        """The batch as it is now."""
        with self.services.store.read() as session:
            return session.get_one(Batch, batch_id)

    def wait_closed(self, batch_id: str, *, timeout_s: float) -> Batch:
        """The batch once it is closed.

        Raises:
            ServerError: it did not close in time.
        """
        if not wait_for(lambda: self.batch(batch_id).closed_at is not None, timeout_s=timeout_s):
            raise ServerError(f"{self.batch(batch_id)!r} is not closed:\n{self.worker_log()}")
        return self.batch(batch_id)

    def run(self, account_id: str, name: str, calls: int) -> Run:
        """Submit that many prompts, wait until the batch is completed, and say what it took."""
        self.provider.forget(name)
        ours, mock = CpuMeter(self.pids()), CpuMeter({"provider": [self.provider.pid]})
        began = time.monotonic()
        batch_id = self.submit(account_id, lines_of(calls))
        batch = self.wait_closed(batch_id, timeout_s=60 + calls / 50)
        seconds, spent = time.monotonic() - began, ours.read()
        answered = self.provider.journal(name).answered
        if (batch.state, batch.jobs_succeeded, len(answered)) != ("completed", calls, calls):
            raise ServerError(f"{batch!r}: {len(answered)} answers\n{self.worker_log()}")
        rss = max((rss_max_bytes(worker.pid) for worker in self.workers), default=0)
        mock_cpu_s = mock.read()["provider"]
        return Run(calls, steady_rate(answered), seconds, spent, rss, mock_cpu_s)

    def pids(self) -> Mapping[str, list[int]]:
        """The processes whose CPU time is ours."""
        pids = {
            "worker": [worker.pid for worker in self.workers],
            "broker": [self._servers.valkey.pid],
        }
        return pids if self.kind == SQLITE else {**pids, "store": [self._servers.postgres.pid]}

    def start_workers(self, count: int) -> None:
        """Start worker processes, and wait until all have their place in the store."""
        for number in range(count):
            self.workers.append(
                Child(
                    [sys.executable, "-m", "workers.worker"],
                    log=self.directory / f"worker-{number}.log",
                    env=child_environment(**self.environment),
                )
            )
        if not wait_for(lambda: self._registered() == count, timeout_s=_READY_MAX_S):
            raise ServerError(f"the workers are not ready:\n{self.worker_log()}")

    def _registered(self) -> int:
        with self.services.store.read() as session:
            return int(session.connection().scalar(text("SELECT COUNT(*) FROM worker")) or 0)

    def worker_log(self) -> str:
        """The end of what the first worker logged."""
        return self.workers[0].tail() if self.workers else "there is no worker"

    def stop(self) -> None:
        """Stop the workers and leave the store."""
        for worker in self.workers:
            worker.kill9()
        self.services.store.close()


@contextmanager
def system(
    kind: str, servers: Servers, *, in_flight: int = 256, workers: int = 1
) -> Iterator[System]:
    """Overnight on a new store of that kind, with workers that are ready for work."""
    with ExitStack() as stack:
        directory = stack.enter_context(temporary_directory())
        url = f"sqlite:///{directory / 'overnight.db'}"
        if kind == POSTGRESQL:
            url = stack.enter_context(servers.postgres.database())
        servers.valkey.flushall()
        environment = {
            "OVERNIGHT_DATA_DIR": str(directory),
            "DATABASE_URL": url,
            "REDIS_URL": servers.valkey.url,
            "BYOK_ENCRYPTION_KEY": new_fernet_key(),
            "OVERNIGHT_TRUSTED_HOSTS": "127.0.0.0/8",
            "OVERNIGHT_WORKER_IN_FLIGHT": str(in_flight),
        }
        made = System(kind, servers, environment, directory)
        stack.callback(made.stop)
        upgrade(made.services.store.engine)
        made.start_workers(workers)
        yield made
