"""One data directory, one supervisor."""

import json
from pathlib import Path

import pytest

from app.domain.errors import SetupError
from workers.supervisor.data_dir import LOCK_FILE, DataDirLock


def test_a_directory_is_made_for_us_alone(tmp_path: Path) -> None:
    with DataDirLock(tmp_path / "new"):
        assert (tmp_path / "new").stat().st_mode & 0o777 == 0o700


def test_a_second_one_is_refused_and_told_who_holds_it(tmp_path: Path) -> None:
    with DataDirLock(tmp_path) as first:
        first.note(pid=4711)
        with pytest.raises(SetupError, match="pid 4711"), DataDirLock(tmp_path):
            pass


def test_it_is_free_again_afterwards_and_says_who_was_there(tmp_path: Path) -> None:
    with DataDirLock(tmp_path) as first:
        first.note(pid=4711, url="http://127.0.0.1:1")
    with DataDirLock(tmp_path) as second:
        assert second.previous == {"pid": 4711, "url": "http://127.0.0.1:1"}


@pytest.mark.parametrize("rest", ["", '{"pid": 12', "[]"])
def test_what_a_crash_left_in_its_file_does_no_harm(tmp_path: Path, rest: str) -> None:
    (tmp_path / LOCK_FILE).write_text(rest)
    with DataDirLock(tmp_path) as lock:
        assert lock.previous == {}
    assert "pid" in json.loads((tmp_path / LOCK_FILE).read_text())


def test_a_directory_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(SetupError, match="OVERNIGHT_DATA_DIR"),
        DataDirLock(tmp_path / "file" / "directory"),
    ):
        pass
