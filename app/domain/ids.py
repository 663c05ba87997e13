"""Prefixed ids, sortable by time: `call_` and 26 characters, as ULIDs are made.

48 bits of milliseconds, then 80 bits that start at random and count up within a
process, so that ids made in the same millisecond keep their order.

A job's id is its batch's with its place in it: `job_`, the batch's 26 characters, and 4 more.
So the jobs of a batch are one range of ids, in their order, and need no index but their key.
"""

import os
import threading
import time
from enum import StrEnum

#: Crockford's base 32, lower case: it sorts as its values do.
ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
_PAIRS = [a + b for a in ALPHABET for b in ALPHABET]
#: The bits of an id's last four characters.
_TAIL_MASK = (1 << 20) - 1
_RANDOM_BITS = 80
_RANDOM_MAX = (1 << _RANDOM_BITS) - 1
#: What follows an id's prefix, and in a job's what follows that.
ID_CHARS, PLACE_CHARS = 26, 4
PLACES_MAX = 1 << 5 * PLACE_CHARS


class Prefix(StrEnum):
    """What an id names."""

    ACCOUNT = "acct"
    API_KEY = "key"
    AUDIT_ENTRY = "aud"
    PROVIDER_KEY = "pk"
    LANE = "lane"
    BATCH = "batch"
    JOB = "job"
    CALL = "call"
    FILE = "file"
    EVENT = "evt"
    DELIVERY = "dlv"
    ENDPOINT = "whe"
    LEDGER_ENTRY = "le"
    WORKER = "wrk"
    TEXT_KEY = "tk"
    PURGE = "purge"
    REQUEST = "req"


class _State:
    """The last id's two parts; `reseed` after a fork keeps two processes apart."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.reseed()

    def reseed(self) -> None:
        self.ms = 0
        self.tail = 0

    def next(self, count: int) -> tuple[int, int]:
        with self.lock:
            ms = max(time.time_ns() // 1_000_000, self.ms)
            if ms != self.ms or self.tail + count > _RANDOM_MAX:
                # The top bit stays clear, so that counting up never overflows in practice.
                self.ms, self.tail = ms, int.from_bytes(os.urandom(10), "big") >> 1
            first = self.tail + 1
            self.tail += count
            return self.ms, first


_state = _State()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_state.reseed)


def _encode(value: int) -> str:
    return "".join([_PAIRS[(value >> shift) & 1023] for shift in range(120, -1, -10)])


def new_id(prefix: Prefix) -> str:
    """A new id, larger than every id this process made before."""
    ms, tail = _state.next(1)
    return f"{prefix}_{_encode((ms << _RANDOM_BITS) | tail)}"


def new_ids(prefix: Prefix, count: int) -> list[str]:
    """Several new ids, in rising order."""
    ms, first = _state.next(count)
    base = (ms << _RANDOM_BITS) | first
    head, ids = "", []
    for value in range(base, base + count):
        low = value & _TAIL_MASK
        if not head or low == 0:
            head = f"{prefix}_{_encode(value)[:-4]}"
        ids.append(f"{head}{_PAIRS[low >> 10]}{_PAIRS[low & 1023]}")
    return ids


def job_id(batch_id: str, position: int) -> str:
    """The id of a batch's job at a position, from 0."""
    return f"{Prefix.JOB}_{batch_id[len(Prefix.BATCH) + 1 :]}{_place(position)}"


def job_ids(batch_id: str, first: int, count: int) -> list[str]:
    """The ids of so many jobs of a batch, from a position on."""
    head = f"{Prefix.JOB}_{batch_id[len(Prefix.BATCH) + 1 :]}"
    return [head + _place(position) for position in range(first, first + count)]


def job_range(batch_id: str, first: int = 0) -> tuple[str, str]:
    """The lowest and the highest id that jobs of a batch may have, from a position on."""
    return job_id(batch_id, first), job_id(batch_id, PLACES_MAX - 1)


def batch_id_of(job_id_: str) -> str:
    """The id of the batch that a job is of."""
    return f"{Prefix.BATCH}_{job_id_[len(Prefix.JOB) + 1 : -PLACE_CHARS]}"


def _place(position: int) -> str:
    return _PAIRS[position >> 10] + _PAIRS[position & 1023]
