"""The supervisor's ears: what it is told to do, and that a child has ended."""

import os
import select
import signal
from contextlib import suppress
from types import FrameType
from typing import Self

_STOPS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
_READ_BYTES = 4096


class Signals:
    """Turns signals into something to wait for. For the main thread, and for a `with` block.

    Asking twice is the same as asking once: who was told to stop is stopping already.

    Args:
        leash: a descriptor to read until its end, which means the same as SIGTERM: whoever
            started us holds the other end, and the system lets go of it however they end.
    """

    def __init__(self, leash: int | None = None) -> None:
        self.is_stopping = False
        self._leash = leash
        self._old: dict[signal.Signals, object] = {}

    def __enter__(self) -> Self:
        self._read, self._write = os.pipe()
        for end in (self._read, self._write):
            os.set_blocking(end, False)
        self._old_wakeup = signal.set_wakeup_fd(self._write, warn_on_full_buffer=False)
        for number in _STOPS:
            if signal.getsignal(number) is not signal.SIG_IGN:  # nohup wants to be heard too
                self._old[number] = signal.signal(number, self._stop)
        self._old[signal.SIGCHLD] = signal.signal(signal.SIGCHLD, _note)
        return self

    def __exit__(self, *_: object) -> None:
        signal.set_wakeup_fd(self._old_wakeup)
        for number, handler in self._old.items():
            signal.signal(number, handler)  # type: ignore[arg-type]  # it came from there
        os.close(self._read)
        os.close(self._write)

    def wait(self, timeout_s: float | None) -> None:
        """Sleep until a signal comes, a child ends, the leash ends, or so long."""
        watched = [self._read] if self._leash is None else [self._read, self._leash]
        ready, _, _ = select.select(watched, [], [], timeout_s)
        if self._read in ready:
            with suppress(BlockingIOError):
                os.read(self._read, _READ_BYTES)
        if self._leash in ready and not os.read(self._leash, _READ_BYTES):
            self._leash, self.is_stopping = None, True

    def _stop(self, _number: int, _frame: FrameType | None) -> None:
        self.is_stopping = True


def _note(_number: int, _frame: FrameType | None) -> None:
    """A signal that is ignored wakes nobody."""
