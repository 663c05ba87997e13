"""Many threads that do the same thing at the same moment."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")


def run_at_once(task: Callable[[int], T], times: int, *, threads: int) -> list[T]:
    """What the task gave for each number, none of which began before all threads were there."""
    barrier = threading.Barrier(threads)

    def worker(number: int) -> list[T]:
        barrier.wait()
        return [task(run) for run in range(number, times, threads)]

    with ThreadPoolExecutor(threads) as pool:
        return [result for results in pool.map(worker, range(threads)) for result in results]
