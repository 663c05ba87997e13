"""Ids: prefixed, unique, and in the order in which they were made."""

import pytest

from app.domain import ids
from app.domain.ids import Prefix, new_id, new_ids


def test_ids_sort_in_the_order_they_were_made() -> None:
    made = [new_id(Prefix.JOB)]
    for count in (1, 5, 3000, 2):
        made += new_ids(Prefix.JOB, count)
    assert made == sorted(made)
    assert len(set(made)) == len(made)
    assert all(one.startswith("job_") and len(one) == len("job_") + 26 for one in made)


def test_a_run_of_ids_carries_over_where_its_last_characters_are_full(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Full:
        """Near the end of what four characters can count."""

        def next(self, count: int) -> tuple[int, int]:
            assert count == 6
            return 5, (1 << 20) - 3

    monkeypatch.setattr(ids, "_state", Full())
    made = new_ids(Prefix.CALL, 6)
    assert [one[-6:] for one in made] == [
        "00zzzx",
        "00zzzy",
        "00zzzz",
        "010000",
        "010001",
        "010002",
    ]
