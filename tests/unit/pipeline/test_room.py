"""Whoever runs out of disk is told before."""

from pathlib import Path
from typing import NamedTuple

import pytest

from app.pipeline.room import Room, rooms
from app.settings import load_settings

GIB = 1024**3


class Usage(NamedTuple):
    total: int
    used: int
    free: int


@pytest.mark.parametrize(
    ("free", "total", "is_scarce"),
    [
        (20 * GIB, 100 * GIB, False),
        (6 * GIB, 1000 * GIB, False),
        (4 * GIB, 1000 * GIB, True),
        (2 * GIB, 10 * GIB, False),
        (GIB // 2, 10 * GIB, True),
        (0, 10 * GIB, True),
    ],
)
def test_a_disk_is_scarce_before_it_is_full(free: int, total: int, *, is_scarce: bool) -> None:
    assert Room(Path("/data"), free, total).is_scarce is is_scarce


def test_each_disk_is_looked_at_once_also_before_the_directory_is_made(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("OVERNIGHT_FILES_URL", raising=False)
    monkeypatch.setenv("OVERNIGHT_DATA_DIR", str(tmp_path / "not" / "yet"))
    monkeypatch.setattr("shutil.disk_usage", lambda _: Usage(10 * GIB, 9 * GIB, GIB // 2))
    [room] = rooms(load_settings())
    assert (room.path, room.is_scarce) == (tmp_path, True)
    assert "0.5 GiB left of 10" in room.warning
