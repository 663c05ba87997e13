"""Signals are heard once and never lost; a leash that ends is one of them."""

import os
import signal
import time
from collections.abc import Iterator

import pytest

from workers.supervisor.signals import Signals


@pytest.fixture
def signals() -> Iterator[Signals]:
    # Whoever started the tests may ignore these: a shell does for what it runs behind, and nohup.
    before = {
        number: signal.signal(number, signal.SIG_DFL) for number in (signal.SIGINT, signal.SIGHUP)
    }
    with Signals() as made:
        yield made
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_each_way_to_ask_for_an_end_is_heard(signals: Signals, number: signal.Signals) -> None:
    os.kill(os.getpid(), number)
    signals.wait(5)
    assert signals.is_stopping


def test_asking_twice_is_asking_once(signals: Signals) -> None:
    for _ in range(2):
        os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGINT)
    signals.wait(5)
    assert signals.is_stopping


def test_a_signal_from_before_the_wait_ends_it_at_once(signals: Signals) -> None:
    os.kill(os.getpid(), signal.SIGCHLD)
    started = time.monotonic()
    signals.wait(5)
    assert time.monotonic() - started < 4
    assert not signals.is_stopping


def test_nothing_is_heard_when_nothing_comes(signals: Signals) -> None:
    signals.wait(0.01)
    assert not signals.is_stopping


def test_the_end_of_the_leash_asks_for_an_end() -> None:
    ours, theirs = os.pipe()
    with Signals(leash=ours) as signals:
        os.write(theirs, b"still here\n")
        signals.wait(5)
        assert not signals.is_stopping
        os.close(theirs)
        signals.wait(5)
        assert signals.is_stopping
    os.close(ours)


def test_the_handlers_from_before_are_put_back() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with Signals():
        assert signal.getsignal(signal.SIGTERM) is not before
    assert signal.getsignal(signal.SIGTERM) is before
