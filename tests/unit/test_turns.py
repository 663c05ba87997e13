"""Turns are given in the order they were asked for, and given up after a while."""

import threading
import time

import pytest
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from app.turns import Turns


def wait_in_line(turns: Turns, number: int, came: list[int]) -> threading.Thread:
    """A thread that stands in line by the time this returns, and notes when its turn came."""

    def take() -> None:
        with turns:
            came.append(number)

    before = len(turns._waiting)
    thread = threading.Thread(target=take)
    thread.start()
    while len(turns._waiting) == before:
        time.sleep(0.001)
    return thread


def test_who_asked_first_comes_first() -> None:
    turns, came = Turns(), []
    with turns:
        threads = [wait_in_line(turns, number, came) for number in range(5)]
        assert came == []
    for thread in threads:
        thread.join()
    assert came == [0, 1, 2, 3, 4]


def test_who_hands_on_and_asks_again_comes_last() -> None:
    turns, came = Turns(), []
    with turns:
        other = wait_in_line(turns, 1, came)
    with turns:
        came.append(2)
    other.join()
    assert came == [1, 2]


def test_there_are_as_many_at_a_time_as_there_are_places() -> None:
    turns = Turns(2, wait_s=0)
    with turns, turns:
        with pytest.raises(PoolTimeoutError), turns:
            pass
        assert not turns._waiting
    with turns, turns:
        pass


def test_one_who_gave_up_keeps_no_place() -> None:
    turns, came = Turns(wait_s=30), []
    with turns:
        other = wait_in_line(turns, 1, came)
        turns._wait_s = 0
        with pytest.raises(PoolTimeoutError), turns:
            pass
    other.join()
    with turns:
        came.append(2)
    assert came == [1, 2]
