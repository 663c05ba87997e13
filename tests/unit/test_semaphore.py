"""Places are given in the order they were asked for, and given up after a while."""

import threading
import time

import pytest
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from app.semaphore import FairSemaphore


def wait_in_line(places: FairSemaphore, number: int, came: list[int]) -> threading.Thread:
    """A thread that stands in line by the time this returns, and notes when its turn came."""

    def take() -> None:
        with places:
            came.append(number)

    before = len(places._waiting)
    thread = threading.Thread(target=take)
    thread.start()
    while len(places._waiting) == before:
        time.sleep(0.001)
    return thread


def test_who_asked_first_comes_first() -> None:
    places, came = FairSemaphore(), []
    with places:
        threads = [wait_in_line(places, number, came) for number in range(5)]
        assert came == []
    for thread in threads:
        thread.join()
    assert came == [0, 1, 2, 3, 4]


def test_who_hands_on_and_asks_again_comes_last() -> None:
    places, came = FairSemaphore(), []
    with places:
        other = wait_in_line(places, 1, came)
    with places:
        came.append(2)
    other.join()
    assert came == [1, 2]


def test_there_are_as_many_at_a_time_as_there_are_places() -> None:
    places = FairSemaphore(2, wait_s=0)
    with places, places:
        with pytest.raises(PoolTimeoutError), places:
            pass
        assert not places._waiting
    with places, places:
        pass


def test_one_who_gave_up_keeps_no_place() -> None:
    places, came = FairSemaphore(wait_s=30), []
    with places:
        other = wait_in_line(places, 1, came)
        places._wait_s = 0
        with pytest.raises(PoolTimeoutError), places:
            pass
    other.join()
    with places:
        came.append(2)
    assert came == [1, 2]
