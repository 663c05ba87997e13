"""A child is kept running: started again when it ends, and not in a hurry if it keeps ending."""

from itertools import pairwise

import pytest

from tests.fakes.clock import FakeClock
from tests.fakes.processes import FakeProcess, Launcher
from workers.supervisor.children import (
    RESTART_DELAY_MAX_S,
    RESTART_DELAY_S,
    SETTLED_S,
    Child,
    Program,
)

PROGRAM = Program("worker-1", ["work"])


class Bundle:
    def __init__(self) -> None:
        self.clock = FakeClock()
        self.launcher = Launcher()
        self.child = Child(PROGRAM, self.launcher, self.clock)

    def end(self, after_s: float = 0.0) -> float:
        """Let it run for so long and end; how long until it is started again."""
        assert self.child.tend() is None
        self.clock.advance(after_s)
        self.launcher.latest.code = 1
        wait_s = self.child.tend()
        assert wait_s is not None
        return wait_s


@pytest.fixture
def bundle() -> Bundle:
    return Bundle()


def test_a_child_is_started_at_once(bundle: Bundle) -> None:
    assert bundle.child.tend() is None
    assert bundle.launcher.launched == ["worker-1"]
    assert bundle.child.is_running


def test_a_child_that_runs_is_left_alone(bundle: Bundle) -> None:
    bundle.child.tend()
    bundle.clock.advance(3600)
    assert bundle.child.tend() is None
    assert bundle.launcher.launched == ["worker-1"]


def test_a_child_that_ended_is_started_again_after_a_moment(bundle: Bundle) -> None:
    assert bundle.end() == pytest.approx(RESTART_DELAY_S)
    assert not bundle.child.is_running
    bundle.clock.advance(RESTART_DELAY_S)
    assert bundle.child.tend() is None
    assert bundle.launcher.launched == ["worker-1", "worker-1"]


def test_a_child_that_keeps_ending_is_waited_for_ever_longer_up_to_a_bound(bundle: Bundle) -> None:
    waits = []
    for _ in range(12):
        waits.append(bundle.end())
        bundle.clock.advance(waits[-1])
    assert all(before <= after for before, after in pairwise(waits))
    assert waits[-1] == pytest.approx(RESTART_DELAY_MAX_S)
    assert bundle.child.failures == 12


def test_a_child_that_ran_well_for_a_while_is_forgiven_what_was_before(bundle: Bundle) -> None:
    for _ in range(5):
        bundle.clock.advance(bundle.end())
    assert bundle.end(after_s=SETTLED_S) == pytest.approx(RESTART_DELAY_S)


def test_a_machine_that_has_no_room_for_a_child_is_asked_again(bundle: Bundle) -> None:
    bundle.launcher.refusals = 2
    assert bundle.child.tend() == pytest.approx(RESTART_DELAY_S)
    bundle.clock.advance(RESTART_DELAY_S)
    assert bundle.child.tend() == pytest.approx(2 * RESTART_DELAY_S)
    bundle.clock.advance(2 * RESTART_DELAY_S)
    assert bundle.child.tend() is None
    assert bundle.child.is_running


def test_a_child_that_ended_is_asked_nothing(bundle: Bundle) -> None:
    bundle.end()
    bundle.child.ask_to_end()
    bundle.child.kill()
    assert bundle.launcher.latest.heard == []


def test_a_child_is_told_to_end_by_what_was_asked_of_it(bundle: Bundle) -> None:
    bundle.child.tend()
    process: FakeProcess = bundle.launcher.latest
    bundle.child.ask_to_end()
    bundle.child.kill()
    assert process.heard == ["terminate", "kill"]
