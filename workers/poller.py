"""The polling fallback: a worker whose broker is gone goes on, from the store."""

import threading

import structlog

from app.domain.errors import UnavailableError
from app.pipeline.reconcile import reconcile
from app.queue import NAMESPACE, Step
from workers.actor import follow
from workers.broker import NudgedBroker, Side
from workers.runtime import Runtime

log = structlog.get_logger(__name__)

_LOOK_S = 1.0
_PROBE = f"{NAMESPACE}:probe"
_PROBE_KEPT_MS = 60_000


def poll_store(runtime: Runtime, broker: NudgedBroker) -> Side:
    """Watch the broker; while it is away, find what is due in the store and do it here."""

    def body(_stopping: threading.Event) -> None:
        if _is_there(broker):
            side.wait(_LOOK_S)
            return
        log.warning("broker_away_polling_the_store")
        while not side.wait(_LOOK_S) and not _is_there(broker):
            _look_once(runtime)

    side = Side("poller", body)
    return side


def _look_once(runtime: Runtime) -> None:
    try:
        hints = reconcile(runtime.services)
    except UnavailableError:
        return
    for hint in hints:
        if hint.step is not Step.RECONCILE:
            follow(runtime, hint.step, hint.ids)


def _is_there(broker: NudgedBroker) -> bool:
    try:
        # A write: one that is full or read-only still answers a ping, and takes no hint.
        return bool(broker.client.set(_PROBE, 1, px=_PROBE_KEPT_MS))
    except Exception:  # noqa: BLE001 - whatever it is, the broker is of no use just now
        return False
