"""Files: whole or not at all, in bounded memory, wherever they are kept."""

import hashlib
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import fsspec
import pytest

from app.domain.errors import InvalidRequestError, NotFoundError, TooLargeError, UnavailableError
from app.files import CHUNK_BYTES, Files


@pytest.fixture(params=["local", "memory"])
def files(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Files]:
    if request.param == "local":
        yield Files(f"file://{tmp_path / 'some' / 'files'}")
        return
    yield Files("memory://files")
    fsspec.filesystem("memory").store.clear()


def test_what_was_put_is_read_back(files: Files) -> None:
    content = b"0123456789" * 300_000
    chunks = (content[start : start + 70_000] for start in range(0, len(content), 70_000))
    stored = files.put("file_1", chunks, bytes_max=len(content))
    assert (stored.bytes, stored.sha256) == (len(content), hashlib.sha256(content).hexdigest())
    pieces = list(files.open("file_1"))
    assert b"".join(pieces) == content
    assert max(map(len, pieces)) <= CHUNK_BYTES


def broken() -> Iterator[bytes]:
    yield b"half of it"
    raise InvalidRequestError("not UTF-8")


def test_a_file_that_breaks_off_was_never_there(files: Files) -> None:
    with pytest.raises(InvalidRequestError):
        files.put("file_1", broken(), bytes_max=100)
    with pytest.raises(NotFoundError):
        list(files.open("file_1"))
    assert files._fs.ls(files._root) == []


def test_a_file_over_the_limit_was_never_there(files: Files) -> None:
    with pytest.raises(TooLargeError):
        files.put("file_1", iter([b"x" * 6, b"x" * 5]), bytes_max=10)
    assert files._fs.ls(files._root) == []


def test_nobody_sees_half_a_file(files: Files) -> None:
    def chunks() -> Iterator[bytes]:
        yield b"first"
        with pytest.raises(NotFoundError):
            list(files.open("file_1"))
        yield b"second"

    files.put("file_1", chunks(), bytes_max=100)
    assert b"".join(files.open("file_1")) == b"firstsecond"


def test_a_file_is_deleted_once_and_again(files: Files) -> None:
    files.put("file_1", [b"x"], bytes_max=1)
    for _ in range(2):
        files.delete("file_1")
    with pytest.raises(NotFoundError):
        list(files.open("file_1"))


def test_a_folder_of_files_is_ours_alone(tmp_path: Path) -> None:
    Files(f"file://{tmp_path / 'files'}").put("file_1", [b"x"], bytes_max=1)
    assert (tmp_path / "files").stat().st_mode & 0o077 == 0


def test_s5_storage_that_cannot_be_written_is_unavailable(tmp_path: Path) -> None:
    (tmp_path / "files").write_text("not a folder")
    with pytest.raises(UnavailableError):
        Files(f"file://{tmp_path / 'files'}").put("file_1", [b"x"], bytes_max=1)


def test_what_a_process_that_died_left_behind_is_swept_once_it_is_old(files: Files) -> None:
    files.put("file_1", iter([b"whole"]), bytes_max=100)
    for name in ("file_2.0123456789abcdef.part", "file_3.0123456789abcdef.part"):
        with files._fs.open(f"{files._root}/{name}", "wb") as file:
            file.write(b"half")
    assert files.sweep_parts(timedelta(hours=1)) == 0
    assert files.sweep_parts(timedelta(seconds=-1)) == 2
    assert [Path(name).name for name in files._fs.ls(files._root, detail=False)] == ["file_1"]
    assert files.sweep_parts(timedelta(seconds=-1)) == 0


def test_there_is_nothing_to_sweep_before_the_first_file(tmp_path: Path) -> None:
    assert Files(f"file://{tmp_path / 'none'}").sweep_parts(timedelta(seconds=-1)) == 0
