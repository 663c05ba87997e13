"""A worker process: `python -m workers.worker`, or `overnight worker`.

`dramatiq.Worker` runs in here rather than under Dramatiq's own master, where the death of one
worker process takes all the others with it.
"""

import faulthandler
import gc
import signal
import sys
import threading

import structlog

from app.db import Commit
from app.domain.errors import SetupError
from app.logs import configure_logging
from app.migrations import check_schema
from app.pipeline.services import build_services
from app.settings import load_settings
from app.vault.custody import check_vault
from app.vault.lanes import ensure_platform_lanes
from workers import actors
from workers.actor import declare
from workers.broker import Hands, NudgedBroker
from workers.poller import poll_store
from workers.runtime import Runtime

log = structlog.get_logger(__name__)

#: Actors are short transactions; the provider calls are not theirs but the pump's.
THREADS = 4
_HANDS_STOP_S = 5.0
_SWITCH_S = 0.0005
_GC_THRESHOLDS = (20_000, 20, 50)


def main() -> int:
    """Run until SIGTERM or SIGINT; a second one changes nothing."""
    stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    faulthandler.enable()
    try:
        _run(stopping)
    except SetupError as error:
        sys.stderr.write(f"overnight worker: {error.message}\n")
        return 1
    return 0


def _run(stopping: threading.Event) -> None:
    settings = load_settings()
    configure_logging(settings)
    services = build_services(settings, hot=True)
    check_schema(services.store.engine)
    check_vault(services.store, services.vault)
    with services.store.transaction(Commit.PLATFORM_LANES) as tx:
        # The calls are made from here, so this process's environment says what there is.
        ensure_platform_lanes(tx, settings)
    runtime = Runtime(services)
    broker = NudgedBroker(settings.broker_url)
    declare(broker, runtime)
    hands, poller = Hands(broker, THREADS, runtime.wake_pump), poll_store(runtime, broker)
    _settle_down()
    runtime.start()
    hands.start()
    poller.start()
    log.info("worker_started", worker=runtime.lease.worker_id, actors=sorted(actors.__all__))
    stopping.wait()
    log.info("worker_stopping", worker=runtime.lease.worker_id)
    poller.stop()
    # First the pump: hints that come in meanwhile do no harm, and calls in flight take longest.
    runtime.stop(settings.grace_s)
    hands.stop(_HANDS_STOP_S)
    services.store.close()
    log.info("worker_stopped")


def _settle_down() -> None:
    """Tune the interpreter for a loop that shares it with a few threads in transactions."""
    # A thread that encodes a group must not keep the loop waiting for five milliseconds.
    sys.setswitchinterval(_SWITCH_S)
    # What was imported stays; calls in flight are many, live shortly, and hold no cycles.
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_GC_THRESHOLDS)


if __name__ == "__main__":
    sys.exit(main())
