"""The supervisor keeps its children running, and takes them down in order and within bounds."""

from collections.abc import Callable

from tests.fakes.clock import FakeClock
from tests.fakes.processes import Launcher
from workers.supervisor.children import Program
from workers.supervisor.supervisor import STOP_MARGIN_S, Supervisor

GRACE_S = 20.0


class FakeSignals:
    """Lets time pass instead of sleeping, and something happen meanwhile."""

    def __init__(self, clock: FakeClock) -> None:
        self.is_stopping = False
        self.waits: list[float | None] = []
        self.meanwhile: Callable[[], None] = lambda: None
        self._clock = clock

    def wait(self, timeout_s: float | None) -> None:
        self.waits.append(timeout_s)
        self._clock.advance(1.0 if timeout_s is None else timeout_s)
        self.meanwhile()


class Bundle:
    def __init__(self, *stubborn: str) -> None:
        self.clock = FakeClock()
        self.signals = FakeSignals(self.clock)
        self.launcher = Launcher(*stubborn)
        self.supervisor = Supervisor(self.signals, GRACE_S, self.launcher, self.clock)

    def start(self, *names: str, last: str | None = None) -> None:
        if last is not None:
            self.supervisor.start(Program(last, []), stop_last=True)
        for name in names:
            self.supervisor.start(Program(name, []))

    def heard(self) -> dict[str, list[str]]:
        return {
            name: process.heard
            for name, process in zip(self.launcher.launched, self.launcher.processes, strict=True)
        }


def test_whoever_ends_is_started_again_until_we_are_told_to_stop() -> None:
    bundle = Bundle()
    bundle.start("api", "worker")

    def meanwhile() -> None:
        bundle.launcher.processes[1].code = -9
        bundle.signals.is_stopping = len(bundle.launcher.launched) == 3

    bundle.signals.meanwhile = meanwhile
    bundle.supervisor.run()
    assert bundle.launcher.launched == ["api", "worker", "worker"]


def test_with_nothing_to_do_it_sleeps_until_a_signal() -> None:
    bundle = Bundle()
    bundle.start("api")
    bundle.signals.meanwhile = lambda: setattr(bundle.signals, "is_stopping", True)
    bundle.supervisor.run()
    assert bundle.signals.waits == [None]


def test_each_child_is_asked_once_to_end_and_those_that_others_need_come_last() -> None:
    bundle = Bundle()
    bundle.start("api", "worker", last="valkey")
    assert bundle.supervisor.stop()
    assert bundle.heard() == {
        "valkey": ["terminate"],
        "api": ["terminate"],
        "worker": ["terminate"],
    }


def test_what_others_need_is_kept_while_they_drain() -> None:
    bundle = Bundle("worker")
    bundle.start("worker", last="valkey")
    valkey, worker = bundle.launcher.processes
    asked_meanwhile = []

    def meanwhile() -> None:
        asked_meanwhile.extend(valkey.heard)
        worker.code = 0

    bundle.signals.meanwhile = meanwhile
    assert bundle.supervisor.stop()
    assert asked_meanwhile == []
    assert valkey.heard == ["terminate"]


def test_whoever_does_not_end_within_the_grace_and_a_margin_is_killed() -> None:
    bundle = Bundle("worker")
    bundle.start("api", "worker")
    before = bundle.clock()
    assert not bundle.supervisor.stop()
    assert bundle.heard() == {"api": ["terminate"], "worker": ["terminate", "kill"]}
    assert bundle.clock() - before <= GRACE_S + STOP_MARGIN_S + 1


def test_nobody_is_started_again_while_stopping() -> None:
    bundle = Bundle()
    bundle.start("api", "worker")
    bundle.launcher.processes[0].code = 1
    assert bundle.supervisor.stop()
    assert bundle.launcher.launched == ["api", "worker"]


def test_waiting_for_something_ends_when_it_is_so_or_time_is_over_or_we_must_stop() -> None:
    bundle = Bundle()
    bundle.start("api")
    assert bundle.supervisor.run_until(lambda: True, every_s=0.1, timeout_s=5)
    before = bundle.clock()
    assert not bundle.supervisor.run_until(lambda: False, every_s=0.1, timeout_s=5)
    assert 5 <= bundle.clock() - before < 6
    bundle.signals.is_stopping = True
    before = bundle.clock()
    assert not bundle.supervisor.run_until(lambda: False, every_s=0.1, timeout_s=5)
    assert bundle.clock() == before
