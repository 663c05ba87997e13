"""A worker's lease: renewed from a thread of its own, and known to be late without asking.

Time is the store's. Here it is only counted how long ago the last renewal was asked for, so
that a worker that was stopped, or cut off, notices before anybody else takes its calls.
"""

import os
import socket
import threading
import time
from collections.abc import Callable
from importlib.metadata import version

import structlog

from app.db import Commit, Store
from app.domain.errors import UnavailableError
from app.domain.ids import Prefix, new_id

log = structlog.get_logger(__name__)

_RENEWALS_PER_LEASE = 4
_REGISTER = """
INSERT INTO worker (id, host, pid, version, started_at, lease_until, writer_lag_ms)
VALUES (:id, :host, :pid, :version, {now}, {after_ms(:lease_ms)}, 0)
"""
#: A lease that has passed is never renewed: its calls may be somebody else's by now.
_RENEW = """
UPDATE worker SET lease_until = {after_ms(:lease_ms)}, writer_lag_ms = :writer_lag_ms
WHERE id = :id AND lease_until > {now}
"""
_FORGET = """
DELETE FROM worker WHERE id = :id
  AND NOT EXISTS (SELECT 1 FROM call WHERE call.worker_id = worker.id)
"""


class Lease:
    """This process's place in the store.

    Args:
        store: where the lease is; renewals have a connection of their own.
        lease_s: how long it lasts without renewal, in seconds.
        monotonic: the clock that counts; replaced in tests.
    """

    def __init__(
        self, store: Store, lease_s: float, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._store = store
        self._lease_s = lease_s
        self._monotonic = monotonic
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self._good_until = 0.0
        self.worker_id = ""
        #: How long the oldest answer of this worker has not been written; told with each renewal.
        self.writer_lag_s: Callable[[], float] = lambda: 0.0

    @property
    def is_good(self) -> bool:
        """Whether this worker may send: its lease cannot have passed yet."""
        return self._monotonic() < self._good_until

    def start(self) -> None:
        """Register, and keep renewing until `stop`."""
        self._register()
        self._thread = threading.Thread(target=self._keep, name="lease", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the lease at once: whatever is still held is given back by `reconcile`."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join(timeout=self._lease_s)
        self._good_until = 0.0
        try:
            with self._store.transaction(Commit.LEASE_END) as tx:
                tx.run(
                    self._store.sql("UPDATE worker SET lease_until = {now} WHERE id = :id"),
                    {"id": self.worker_id},
                )
                tx.run(self._store.sql(_FORGET), {"id": self.worker_id})
        except UnavailableError:
            log.warning("lease_not_ended", worker=self.worker_id)

    def _register(self) -> None:
        asked = self._monotonic()
        worker_id = new_id(Prefix.WORKER)
        with self._store.transaction(Commit.LEASE) as tx:
            tx.run(
                self._store.sql(_REGISTER),
                {
                    "id": worker_id,
                    "host": socket.gethostname(),
                    "pid": os.getpid(),
                    "version": version("overnight"),
                    "lease_ms": round(self._lease_s * 1000),
                },
            )
        self.worker_id = worker_id
        # A margin for the way to the provider: what is sent must be sent under the lease.
        self._good_until = asked + self._lease_s * 0.9
        log.info("worker_registered", worker=worker_id)

    def renew(self) -> None:
        """Renew once; a lease that passed is lost, and the process goes on as a new worker."""
        asked = self._monotonic()
        with self._store.transaction(Commit.RENEW) as tx:
            renewed = tx.run(
                self._store.sql(_RENEW),
                {
                    "id": self.worker_id,
                    "lease_ms": round(self._lease_s * 1000),
                    "writer_lag_ms": round(self.writer_lag_s() * 1000),
                },
            )
        if renewed.rowcount:
            self._good_until = asked + self._lease_s * 0.9
            return
        log.error("lease_lost", worker=self.worker_id)
        self._good_until = 0.0
        self._register()

    def _keep(self) -> None:
        while not self._stopping.wait(self._lease_s / _RENEWALS_PER_LEASE):
            try:
                self.renew()
            except UnavailableError:
                log.warning("lease_not_renewed", worker=self.worker_id)
            except Exception:
                log.exception("lease_not_renewed", worker=self.worker_id)
