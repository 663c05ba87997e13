"""Uploads through OpenAI's door: a file is stored as it arrives, and is there whole or not at all."""

from errno import ENOSPC
from io import BytesIO
from pathlib import Path

import httpx2
import pytest

from app.domain.errors import UnavailableError
from app.files import Writer
from app.models import InputFile
from app.pipeline import upload
from tests.integration.api.conftest import Api, kept, on_sqlite

LINES = b'{"custom_id": "a"}\n' * 200_000
PURPOSE = b'Content-Disposition: form-data; name="purpose"\r\n\r\nbatch'
FILE = b'Content-Disposition: form-data; name="file"; filename="in.jsonl"\r\n\r\n'

pytestmark = on_sqlite


def sent(api: Api, *parts: bytes, end: bytes = b"--") -> httpx2.Response:
    """Send a form of these parts, in their order."""
    body = b"".join(b"--limit\r\n" + part + b"\r\n" for part in parts) + b"--limit" + end
    headers = {"Content-Type": "multipart/form-data; boundary=limit"}
    return api.post("/openai/v1/files", content=body, headers=headers)


@pytest.mark.parametrize("parts", [(PURPOSE, FILE + LINES), (FILE + LINES, PURPOSE)])
def test_the_file_may_come_before_what_is_said_of_it(
    api: Api, tmp_path: Path, parts: tuple[bytes, bytes]
) -> None:
    answer = sent(api, *parts)
    assert answer.status_code == 200
    file_id = answer.json()["id"]
    assert kept(tmp_path) == [file_id]
    assert (tmp_path / "files" / file_id).read_bytes() == LINES
    assert answer.json()["bytes"] == len(LINES)


@pytest.mark.parametrize(
    ("parts", "end", "says"),
    [
        ((FILE + LINES + b"\xff", PURPOSE), b"--", "file: it is not UTF-8"),
        ((FILE + LINES + b"\xc3", PURPOSE), b"--", "file: it ends in the middle"),
        ((FILE + b"\xff" + LINES, PURPOSE), b"--", "file: it is not JSONL"),
        ((FILE, PURPOSE), b"--", "file: it is empty"),
        ((PURPOSE,), b"--", "file: send one file"),
        ((FILE + LINES,), b"--", "purpose: only batch"),
        ((PURPOSE, FILE + LINES, FILE + LINES), b"--", "the form cannot be read: Too many files"),
        ((PURPOSE, FILE + LINES, b"no header"), b"", "the form cannot be read"),
    ],
)
def test_what_is_refused_at_its_end_leaves_nothing(
    api: Api, tmp_path: Path, parts: tuple[bytes, ...], end: bytes, says: str
) -> None:
    answer = sent(api, *parts, end=end)
    assert answer.status_code == 400
    assert says in answer.json()["error"]["message"]
    assert kept(tmp_path) == []


def test_a_disk_that_is_full_meanwhile_is_said_and_nothing_is_left(
    api: Api, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin = Writer.__init__

    class Full(BytesIO):
        def write(self, _: object) -> int:
            raise OSError(ENOSPC, "no space left")

    with monkeypatch.context() as patched:
        patched.setattr(
            Writer, "__init__", lambda self, _, bytes_max: begin(self, Full(), bytes_max)
        )
        answer = sent(api, PURPOSE, FILE + LINES)
    assert answer.status_code == 503
    assert "is full" in answer.json()["error"]["message"]
    assert kept(tmp_path) == []
    assert sent(api, PURPOSE, FILE + LINES).status_code == 200


def test_a_store_that_does_not_take_the_row_leaves_no_bytes(
    api: Api, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: object, **__: object) -> InputFile:
        raise UnavailableError

    monkeypatch.setattr(upload, "check_quotas", away)
    assert sent(api, PURPOSE, FILE + LINES).status_code == 503
    assert kept(tmp_path) == []
