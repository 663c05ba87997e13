"""Ends children whose parent is gone, where the system has no way to do it.

A small process reads which children there are from its standard input; however the parent
ends, the system closes that, and the guard kills those that are left. Linux needs none of it.
"""

import os
import signal
import subprocess
import sys
from collections.abc import Iterable
from contextlib import suppress


class Guard:
    """The parent's end of it. Until it is started, it does nothing."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start the guard, once."""
        if self._process is None or self._process.poll() is not None:
            self._process = subprocess.Popen(  # noqa: S603 - ourselves
                [sys.executable, "-P", "-m", __name__],
                stdin=subprocess.PIPE,
                start_new_session=True,
            )

    def watch(self, pid: int) -> None:
        """A child, the leader of its session, was started."""
        self._tell(f"+{pid}\n")

    def forget(self, pid: int) -> None:
        """A child has ended, and its number may be another's soon."""
        self._tell(f"-{pid}\n")

    def _tell(self, line: str) -> None:
        if self._process is not None and self._process.stdin is not None:
            with suppress(BrokenPipeError):
                self._process.stdin.write(line.encode())
                self._process.stdin.flush()


def left_behind(lines: Iterable[str]) -> set[int]:
    """The children that were started and have not ended when the lines do."""
    pids = set[int]()
    for line in lines:
        change, pid = line[0], int(line[1:])
        if change == "+":
            pids.add(pid)
        else:
            pids.discard(pid)
    return pids


def main() -> None:
    """Wait for the end of the parent, then end its children."""
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    for pid in left_behind(sys.stdin):
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(pid, signal.SIGKILL)


if __name__ == "__main__":
    main()
