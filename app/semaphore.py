"""A semaphore that is fair: what only so many threads may have at a time."""

import threading
from collections import deque

from sqlalchemy.exc import TimeoutError as PoolTimeoutError


class FairSemaphore:
    """Places that are given in the order they were asked for.

    Python's own locks, and SQLAlchemy's pool of connections, give them to whoever comes at the
    right moment: of a crowd, one may wait without end.

    Args:
        places: how many may have one at a time.
        wait_s: seconds after which one gives up; by default never.
    """

    def __init__(self, places: int = 1, *, wait_s: float | None = None) -> None:
        self._guard = threading.Lock()
        self._waiting: deque[threading.Lock] = deque()
        self._free = places
        self._wait_s = -1 if wait_s is None else wait_s

    def __enter__(self) -> None:
        """Wait for every earlier one.

        Raises:
            PoolTimeoutError: it took too long.
        """
        with self._guard:
            if self._free:
                self._free -= 1
                return
            turn = threading.Lock()
            turn.acquire()
            self._waiting.append(turn)
        if turn.acquire(timeout=self._wait_s):
            return
        with self._guard:
            if turn in self._waiting:
                self._waiting.remove(turn)
                raise PoolTimeoutError
        # It was given at the very moment.

    def __exit__(self, *_: object) -> None:
        """Hand it on."""
        with self._guard:
            if self._waiting:
                self._waiting.popleft().release()
            else:
                self._free += 1
