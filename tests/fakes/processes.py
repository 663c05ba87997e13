"""Processes that only pretend, for what starts and ends them."""

import errno

from workers.supervisor.children import Program


class FakeProcess:
    """Runs until its `code` is set.

    Args:
        pid: its number.
        stubborn: whether it ignores being asked to end.
    """

    def __init__(self, pid: int, *, stubborn: bool = False) -> None:
        self.pid = pid
        self.code: int | None = None
        self.heard: list[str] = []
        self._stubborn = stubborn

    def poll(self) -> int | None:
        """Its exit code; None while it runs."""
        return self.code

    def terminate(self) -> None:
        """End it, if it lets us."""
        self.heard.append("terminate")
        if not self._stubborn:
            self.code = 0

    def kill(self) -> None:
        """End it."""
        self.heard.append("kill")
        self.code = -9


class Launcher:
    """Starts such processes, and remembers them.

    Args:
        stubborn: the names of programs that ignore being asked to end.
    """

    def __init__(self, *stubborn: str) -> None:
        self.launched: list[str] = []
        self.processes: list[FakeProcess] = []
        self.refusals = 0
        self._stubborn = stubborn

    @property
    def latest(self) -> FakeProcess:
        """The last that was started."""
        return self.processes[-1]

    def __call__(self, program: Program) -> FakeProcess:
        """Start one, if there is room for it."""
        if self.refusals > 0:
            self.refusals -= 1
            raise OSError(errno.EAGAIN, "Resource temporarily unavailable")
        process = FakeProcess(1000 + len(self.processes), stubborn=program.name in self._stubborn)
        self.launched.append(program.name)
        self.processes.append(process)
        return process
