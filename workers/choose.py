"""Whose calls are sent next. Pure: fair between accounts, by priority within one.

Free slots are poured over the accounts as water finds its level: whoever has the fewest calls
in flight gets the next slot. An account's own slots go to its interactive batches, then by
priority, then to its oldest batch, spread over that batch's lanes and models.
"""

import heapq
from collections import Counter
from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import TypeVar

from app.pipeline.backlog import Entry

_T = TypeVar("_T", bound=Hashable)

Key = tuple[str, str, str]


class Turns:
    """Whose entries ask first for what a lane permits: its accounts' in turn, by what they got.

    A lane whose permits are few gives them to whoever asks first, so that slots alone would not
    share it.
    """

    def __init__(self) -> None:
        self._got: dict[tuple[str, str], int] = {}

    def order(self, picks: Iterable[tuple[Entry, int]]) -> list[tuple[Entry, int]]:
        """The same picks; whoever got least of a lane comes first, but for interactive ones."""
        picks = list(picks)
        least: dict[str, int] = {}
        for (lane_id, _), got in self._got.items():
            least[lane_id] = min(got, least.get(lane_id, got))
        for entry, _ in picks:
            # Who is new begins level with the least: nothing is owed for before.
            self._got.setdefault((entry.lane_id, entry.account_id), least.get(entry.lane_id, 0))
        return sorted(picks, key=lambda pick: (not pick[0].interactive, self._of(pick[0])))

    def took(self, entry: Entry, count: int) -> None:
        """So many calls of an entry were permitted and claimed."""
        self._got[entry.lane_id, entry.account_id] = self._of(entry) + count

    def keep(self, entries: Iterable[Entry]) -> None:
        """Forget all others."""
        known = {(entry.lane_id, entry.account_id) for entry in entries}
        self._got = {key: got for key, got in self._got.items() if key in known}

    def _of(self, entry: Entry) -> int:
        return self._got.get((entry.lane_id, entry.account_id), 0)


def choose(
    entries: Sequence[Entry],
    in_flight: Mapping[str, int],
    in_flight_by_entry: Mapping[Key, int],
    free: int,
    reserve: int,
) -> list[tuple[Entry, int]]:
    """How many calls to claim of which entries.

    Args:
        entries: what is due and may be sent.
        in_flight: calls in flight by account.
        in_flight_by_entry: the same by entry.
        free: slots free for anybody; may be negative while the reserve is in use.
        reserve: slots free for interactive batches alone.
    """
    waiting = [entry for entry in entries if entry.interactive]
    picks: Counter[Entry] = Counter()
    if waiting:
        _pour(picks, waiting, in_flight, in_flight_by_entry, max(0, free + reserve))
    left = free - sum(picks.values())
    bulk = [entry for entry in entries if not entry.interactive]
    if bulk and left > 0:
        _pour(picks, bulk, in_flight, in_flight_by_entry, left)
    return [(entry, count) for entry, count in picks.items() if count > 0]


def _pour(
    picks: Counter[Entry],
    entries: Iterable[Entry],
    in_flight: Mapping[str, int],
    in_flight_by_entry: Mapping[Key, int],
    slots: int,
) -> None:
    by_account: dict[str, list[Entry]] = {}
    for entry in entries:
        by_account.setdefault(entry.account_id, []).append(entry)
    levels = {account: in_flight.get(account, 0) for account in by_account}
    for account, share in _level(levels, slots).items():
        front = _front(by_account[account])
        entry_levels = {entry: in_flight_by_entry.get(entry.key, 0) for entry in front}
        picks.update(_level(entry_levels, share))


def _front(entries: list[Entry]) -> list[Entry]:
    """The entries of the one batch that comes first."""
    first = min(entries, key=lambda entry: (-entry.priority, entry.batch_id))
    return [entry for entry in entries if entry.batch_id == first.batch_id]


def _level(levels: Mapping[_T, int], slots: int) -> dict[_T, int]:
    """Give out slots one by one to whoever is lowest; ties go in the order they came."""
    if len(levels) == 1:
        return dict.fromkeys(levels, slots)
    order = {one: index for index, one in enumerate(levels)}
    heap = [(level, order[one], one) for one, level in levels.items()]
    heapq.heapify(heap)
    given: dict[_T, int] = dict.fromkeys(levels, 0)
    for _ in range(slots):
        level, index, one = heap[0]
        given[one] += 1
        heapq.heapreplace(heap, (level + 1, index, one))
    return given
