"""Keeps children running until it is told to stop, and then takes them down in order."""

import time
from collections.abc import Callable

import structlog

from workers.supervisor.children import Child, Process, Program, spawn
from workers.supervisor.signals import Signals

log = structlog.get_logger(__name__)

#: What children have over the grace of calls in flight, to write down what came of them.
STOP_MARGIN_S = 5.0
#: How long the last to stop, who have nothing to finish, are waited for.
LAST_STOP_S = 5.0
_KILLED_MAX_S = 5.0


class Supervisor:
    """Some children, all of them of one system.

    Args:
        signals: what it listens to.
        grace_s: how long children may take to finish what they have in flight.
        launch: what starts a program.
        clock: seconds that only rise.
    """

    def __init__(
        self,
        signals: Signals,
        grace_s: float,
        launch: Callable[[Program], Process] = spawn,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._signals = signals
        self._launch = launch
        self._stop_s = grace_s + STOP_MARGIN_S
        self._clock = clock
        self._children: list[Child] = []
        self._last: list[Child] = []

    def start(self, program: Program, *, stop_last: bool = False) -> Child:
        """Start a program and keep it running; those that others need stop last."""
        child = Child(program, self._launch, self._clock)
        (self._last if stop_last else self._children).append(child)
        child.tend()
        return child

    def run_until(self, is_done: Callable[[], bool], every_s: float, timeout_s: float) -> bool:
        """Keep all running until something is so; whether it was before time and a stop."""
        deadline = self._clock() + timeout_s
        while not (done := is_done()) and not self._signals.is_stopping:
            if self._clock() >= deadline:
                break
            self._turn(every_s)
        return done

    def run(self) -> None:
        """Keep all running until we are told to stop."""
        while not self._signals.is_stopping:
            self._turn(None)

    def stop(self) -> bool:
        """Ask every child once to end, and wait; whether none had to be killed."""
        clean = self._end(self._children, self._stop_s)
        return self._end(self._last, LAST_STOP_S) and clean

    def _turn(self, longest_s: float | None) -> None:
        waits = [child.tend() for child in (*self._last, *self._children)]
        waits.append(longest_s)
        self._signals.wait(min((wait for wait in waits if wait is not None), default=None))

    def _end(self, children: list[Child], within_s: float) -> bool:
        for child in children:
            child.reap()
            child.ask_to_end()
        if self._await_end(children, within_s):
            return True
        for child in children:
            child.kill()
        if not self._await_end(children, _KILLED_MAX_S):
            log.error("child_does_not_end", children=_running(children))
        return False

    def _await_end(self, children: list[Child], within_s: float) -> bool:
        deadline = self._clock() + within_s
        while True:
            for child in children:
                child.reap()
            left_s = deadline - self._clock()
            if not _running(children) or left_s <= 0:
                return not _running(children)
            self._signals.wait(left_s)


def _running(children: list[Child]) -> list[str]:
    return [child.program.name for child in children if child.is_running]
