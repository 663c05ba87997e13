"""Child processes that cannot outlive us, and that are started again when they end."""

import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import structlog
from typing_extensions import override

from workers.supervisor.guard import Guard

log = structlog.get_logger(__name__)

RESTART_DELAY_S = 0.2
RESTART_DELAY_MAX_S = 15.0
#: A child that ran for so long had started well: its next end is a first one again.
SETTLED_S = 10.0
_STDERR = 2
_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None) if sys.platform == "linux" else None
_guard = Guard()


@dataclass(frozen=True, slots=True)
class Program:
    """What to run as a child. Without an environment it has ours."""

    name: str
    command: Sequence[str]
    environment: Mapping[str, str] | None = None
    inherited: tuple[int, ...] = ()  # descriptors


class Process(Protocol):
    """A running program, as `subprocess.Popen` is one."""

    pid: int

    def poll(self) -> int | None:
        """Its exit code, or minus the signal that ended it; None while it runs."""
        ...

    def terminate(self) -> None:
        """Ask it to end, if it has not ended."""
        ...

    def kill(self) -> None:
        """End it at once, and whatever it started."""
        ...


class Session(subprocess.Popen[bytes]):
    """A process that leads a session of its own."""

    @override
    def kill(self) -> None:
        """Kill the whole session."""
        if self.poll() is None:
            os.killpg(self.pid, signal.SIGKILL)


def spawn(program: Program) -> Process:
    """Start a program in a session of its own, which it does not leave alive when we die.

    Of its own, so that a Ctrl-C or a SIGTERM to our group is ours alone: we drain, then they.
    """
    process = Session(
        program.command,
        stdin=subprocess.DEVNULL,
        stdout=_STDERR,  # ours is for what a person or a program reads
        env=program.environment,
        pass_fds=program.inherited,
        start_new_session=True,
        preexec_fn=_dying_with_us(),
    )
    _guard.watch(process.pid)
    return process


class Child:
    """A program that is kept running.

    Args:
        program: what to run.
        start: what starts it.
        clock: seconds that only rise.
    """

    def __init__(
        self,
        program: Program,
        start: Callable[[Program], Process] = spawn,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.program = program
        self.process: Process | None = None
        self.failures = 0
        self._start = start
        self._clock = clock
        self._started_at = self._due_at = clock()
        self._is_asked_to_end = False

    @property
    def is_running(self) -> bool:
        """Whether there is a process that has not been seen to end."""
        return self.process is not None

    def tend(self) -> float | None:
        """Start it when it is time to; seconds until then, or None while it runs."""
        self.reap()
        if self.process is not None:
            return None
        wait_s = self._due_at - self._clock()
        if wait_s > 0:
            return wait_s
        self._started_at = self._clock()
        try:
            self.process = self._start(self.program)
        except OSError as error:  # no memory, no process, no descriptor: there will be again
            log.error("child_not_started", child=self.program.name, error=error.strerror)  # noqa: TRY400 - a stack says no more
            return self._failed()
        log.info("child_started", child=self.program.name, pid=self.process.pid)
        return None

    def reap(self) -> None:
        """Notice that it has ended, and when it is to be started again."""
        if self.process is None or (code := self.process.poll()) is None:
            return
        _guard.forget(self.process.pid)
        self._failed()
        say = log.info if self._is_asked_to_end else log.warning
        say("child_ended", child=self.program.name, pid=self.process.pid, code=code)
        self.process = None

    def _failed(self) -> float:
        """Count it, and say how long to wait before the next try."""
        if self._clock() - self._started_at >= SETTLED_S:
            self.failures = 0
        self.failures += 1
        delay_s = min(RESTART_DELAY_S * 2.0 ** (self.failures - 1), RESTART_DELAY_MAX_S)
        self._due_at = self._clock() + delay_s
        return delay_s

    def ask_to_end(self) -> None:
        """Send it SIGTERM, once."""
        self._is_asked_to_end = True
        if self.process is not None:
            self.process.terminate()

    def kill(self) -> None:
        """End it at once, and whatever it started."""
        if self.process is not None:
            log.warning("child_killed", child=self.program.name, pid=self.process.pid)
            self.process.kill()


def _dying_with_us() -> Callable[[], None] | None:
    """What a child does before it becomes its program: ask Linux to kill it when we die."""
    if _libc is None:
        _guard.start()
        return None
    parent, set_option = os.getpid(), _libc.prctl

    def prepare() -> None:
        set_option(_PR_SET_PDEATHSIG, int(signal.SIGKILL))
        if os.getppid() != parent:  # we died before it asked
            os._exit(1)

    return prepare
