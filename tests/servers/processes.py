"""Child processes of the test run that can't outlive it: the ground under `tests.servers`."""

import ctypes
import os
import pwd
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import psutil

START_MAX_S = 60.0
STOP_MAX_S = 10.0
_POLL_S = 0.01
_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None) if sys.platform == "linux" else None


class ServerError(RuntimeError):
    """A server did not start, or did not stop."""


class Child:
    """A process that dies with the thread that started it, and whose output is in a file."""

    def __init__(
        self,
        command: Sequence[str | Path],
        *,
        log: Path,
        uid: int | None = None,
        env: Mapping[str, str] | None = None,
        death_signal: signal.Signals = signal.SIGKILL,
    ) -> None:
        self.log = log
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                [str(part) for part in command],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=env,
                user=uid,
                group=None if uid is None else pwd.getpwuid(uid).pw_gid,
                extra_groups=None if uid is None else [],
                start_new_session=True,  # Ctrl-C is for the test run, which then stops its servers
                preexec_fn=_dying_with_us(death_signal),  # noqa: PLW1509  # it takes no lock
            )

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    @property
    def is_running(self) -> bool:
        """Whether it has not ended yet."""
        return self._process.poll() is None

    @property
    def exit_code(self) -> int | None:
        """How it ended, or minus the signal that ended it; None while it runs."""
        return self._process.poll()

    def wait_until(self, is_ready: Callable[[], bool], *, timeout_s: float = START_MAX_S) -> None:
        """Return as soon as it is ready; raise with the end of its log if it can't be."""
        wait_for(lambda: is_ready() or not self.is_running, timeout_s=timeout_s)
        if not is_ready():
            raise ServerError(f"{self._process.args} is not ready:\n{self.tail()}")

    def tail(self) -> str:
        """The end of what it printed."""
        return self.log.read_text(errors="replace")[-4_000:]

    def stop(self, request: signal.Signals = signal.SIGTERM) -> None:
        """Ask it to end, wait for it, and insist."""
        if self.is_running:
            self._process.send_signal(request)
        try:
            self._process.wait(STOP_MAX_S)
        except subprocess.TimeoutExpired:
            self.kill9()

    def kill9(self) -> None:
        """End it and all its children at once, as a power cut would."""
        doomed = family_of(self.pid)
        for process in doomed:
            try:
                process.kill()
            except psutil.NoSuchProcess:
                continue
        self._process.wait(STOP_MAX_S)
        wait_for(lambda: all(map(has_ended, doomed)))


def wait_for(is_so: Callable[[], bool], *, timeout_s: float = STOP_MAX_S) -> bool:
    """Whether it came to be so in time."""
    deadline = time.monotonic() + timeout_s
    while not (so := is_so()) and time.monotonic() < deadline:
        time.sleep(_POLL_S)
    return so


def has_ended(process: psutil.Process) -> bool:
    """Whether a process is gone; one that only waits for its parent to notice counts as gone."""
    try:
        return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def family_of(pid: int) -> list[psutil.Process]:
    """A process and all that descends from it; none if it has ended."""
    try:
        process = psutil.Process(pid)
        return [process, *process.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def _dying_with_us(death_signal: signal.Signals) -> Callable[[], None] | None:
    if _libc is None:
        return None
    parent, set_option = os.getpid(), _libc.prctl

    def prepare() -> None:
        set_option(_PR_SET_PDEATHSIG, int(death_signal))
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # a test run in the background ignores it
        if os.getppid() != parent:  # it died before the option was set
            os._exit(1)

    return prepare
