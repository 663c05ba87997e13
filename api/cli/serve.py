"""`overnight api`: the HTTP API."""

import signal
import socket
from contextlib import suppress
from typing import Annotated

import typer
import uvicorn

from app.logs import configure_logging
from app.settings import load_settings

#: What an API that was told to end still waits for: streams that have no end of their own.
_DRAIN_MAX_S = 10
_BACKLOG = 2048


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(api)


def api(
    *,
    fd: Annotated[
        int | None, typer.Option(hidden=True, help="A socket that listens already.")
    ] = None,
) -> None:
    """Run the HTTP API.

    Example: overnight api
    """
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
        proxy_headers=False,  # anybody can write X-Forwarded-For
        timeout_graceful_shutdown=round(min(settings.grace_s, _DRAIN_MAX_S)),
    )
    sockets = None if fd is None else [socket.socket(fileno=fd)]
    # uvicorn sends itself again what it was told to end by; to have drained is to have done well.
    signal.signal(signal.SIGTERM, lambda *_: None)
    with suppress(KeyboardInterrupt):
        uvicorn.Server(config).run(sockets=sockets)
