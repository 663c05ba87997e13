"""The scheduler process: `python -m workers.scheduler`, or `overnight scheduler`.

It is a clock: it reconciles every few seconds, itself, so that what workers lost is found
though no worker can hear a hint. Any number of them may run.
"""

import signal
import sys
import threading
import time

import structlog

from app.domain.errors import SetupError, UnavailableError
from app.logs import configure_logging
from app.migrations import check_schema
from app.pipeline.leftovers import sweep_parts
from app.pipeline.reconcile import reconcile
from app.pipeline.retention import enforce_retention
from app.pipeline.room import rooms
from app.pipeline.services import Services, build_services
from app.settings import load_settings
from app.vault.custody import check_vault

log = structlog.get_logger(__name__)

_SAY_AGAIN_S = 600.0
#: To list a folder of a million files takes its time.
_SWEEP_EVERY_S = 3600.0


def main() -> int:
    """Run until SIGTERM or SIGINT."""
    stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    try:
        settings = load_settings()
        configure_logging(settings)
        services = build_services(settings)
        check_schema(services.store.engine)
        check_vault(services.store, services.vault)
    except SetupError as error:
        sys.stderr.write(f"overnight scheduler: {error.message}\n")
        return 1
    log.info("scheduler_started", interval_s=settings.reconcile_interval_s)
    watch = DiskWatch(services)
    swept_at = float("-inf")
    while True:
        reconcile_once(services)
        watch.look()
        if time.monotonic() - swept_at >= _SWEEP_EVERY_S:
            swept_at = time.monotonic()
            sweep_parts(services)
        if stopping.wait(settings.reconcile_interval_s):
            break
    services.store.close()
    log.info("scheduler_stopped")
    return 0


class DiskWatch:
    """Says in the log that a disk is nearly full, and not at every tick."""

    def __init__(self, services: Services) -> None:
        self._settings = services.settings
        self._said_at = float("-inf")

    def look(self) -> None:
        """Look at every disk we write to."""
        if time.monotonic() - self._said_at < _SAY_AGAIN_S:
            return
        for room in rooms(self._settings):
            if room.is_scarce:
                self._said_at = time.monotonic()
                log.warning("disk_nearly_full", path=str(room.path), free_bytes=room.free_bytes)


def reconcile_once(services: Services) -> bool:
    """Reconcile, and let text go; a store that is away is tried again at the next tick."""
    try:
        reconcile(services)
        enforce_retention(services)
    except UnavailableError:
        log.warning("reconcile_postponed")
    except Exception:
        log.exception("reconcile_failed")
    else:
        return True
    return False


if __name__ == "__main__":
    sys.exit(main())
