"""The processes of a system: one at a time for a Procfile, or all of them with `up`."""

import os
import sys
from typing import Annotated

import typer

#: What an API that was told to end still waits for: streams that have no end of their own.
_DRAIN_MAX_S = 10
_BACKLOG = 2048


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    for command in (up, api, worker, scheduler, migrate):
        app.command()(command)


def up() -> None:
    """Run everything on this machine: API, workers, scheduler, and a broker of its own."""
    _become("workers.up")


def worker() -> None:
    """Run one worker process: it makes the calls."""
    _become("workers.worker")


def scheduler() -> None:
    """Run the scheduler: it finds in the store what was lost or is due."""
    _become("workers.scheduler")


def api(
    *,
    fd: Annotated[
        int | None, typer.Option(hidden=True, help="A socket that listens already.")
    ] = None,
) -> None:
    """Run the HTTP API."""
    import signal
    import socket
    from contextlib import suppress

    import uvicorn

    from app.logs import configure_logging
    from app.settings import load_settings

    settings = load_settings()
    configure_logging(settings)
    config = uvicorn.Config(
        "api.main:create_app",
        factory=True,
        host=settings.host,
        port=settings.port,
        backlog=_BACKLOG,
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=round(min(settings.grace_s, _DRAIN_MAX_S)),
    )
    sockets = None if fd is None else [socket.socket(fileno=fd)]
    # uvicorn sends itself again what it was told to end by; to have drained is to have done well.
    signal.signal(signal.SIGTERM, lambda *_: None)
    with suppress(KeyboardInterrupt):
        uvicorn.Server(config).run(sockets=sockets)


def migrate() -> None:
    """Bring the store to this version's schema."""
    from contextlib import closing

    from app.db import Store
    from app.migrations import upgrade
    from app.settings import load_settings

    settings = load_settings()
    with closing(Store(settings.store_url)) as store:
        revision = upgrade(store.engine)
    print(f"the store is at {revision}")


def _become(module: str) -> None:
    """Go on as another module: the same process, so that signals reach it."""
    sys.stdout.flush()
    # -P: never a module of the folder it is started in.
    os.execv(sys.executable, [sys.executable, "-P", "-m", module])  # noqa: S606 - ourselves
