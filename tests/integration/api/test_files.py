"""Input files: kept whole, read line by line, and never another account's."""

import io
import sys
from pathlib import Path
from typing import Any

import httpx2
import pyarrow as pa
import pytest
from pyarrow import parquet
from sqlmodel import select

from app.models import InputFile, Job
from app.pipeline import upload
from tests.integration.api.conftest import Api, kept, on_sqlite, refused, submission

LINES = b'{"custom_id": "a", "prompt": "A?"}\n{"custom_id": "b", "prompt": "B?"}\n'


def sent(api: Api, content: bytes, name: str = "in.jsonl", **fields: str) -> httpx2.Response:
    return api.post("/v1/files", files={"file": (name, content)}, data=fields)


def submit_file(api: Api, content: bytes) -> httpx2.Response:
    file = sent(api, content)
    assert file.status_code == 201, file.text
    return api.post("/v1/batches", json=submission(jobs=None, input_file_id=file.json()["id"]))


def custom_ids(api: Api, batch_id: str) -> list[str]:
    with api.engine.store.read() as session:
        jobs = select(Job.custom_id).where(Job.batch_id == batch_id).order_by(Job.position)
        return list(session.exec(jobs))


def test_a_file_is_kept_and_shown(api: Api, tmp_path: Path) -> None:
    answer = sent(api, LINES, retention="keep")
    assert answer.status_code == 201
    file = answer.json()
    assert (file["bytes"], file["filename"], file["retention"]) == (len(LINES), "in.jsonl", "keep")
    assert api.get(f"/v1/files/{file['id']}").json() == file
    assert kept(tmp_path) == [file["id"]]


def test_a_batch_is_submitted_from_a_file(api: Api) -> None:
    answer = submit_file(api, LINES)
    assert answer.status_code == 201
    assert custom_ids(api, answer.json()["id"]) == ["a", "b"]


@pytest.mark.parametrize(
    "content",
    [
        LINES.replace(b"\n", b"\r\n"),
        b"\n\n" + LINES.replace(b"\n", b"\n \n\n"),
        LINES.rstrip(),
        LINES.replace(b"A?", "\u2028\u2029\u0085".encode()),
    ],
)
def test_i10_lines_end_at_line_feeds_and_blank_ones_are_nothing(api: Api, content: bytes) -> None:
    answer = submit_file(api, content)
    assert answer.status_code == 201, answer.text
    assert custom_ids(api, answer.json()["id"]) == ["a", "b"]


def test_i11_one_bad_line_refuses_the_file_and_is_named(api: Api) -> None:
    lines = [b'{"custom_id": "c%d", "prompt": "?"}' % n for n in range(5000)]
    lines[4321] = b'{"custom_id": "c4321", "prompt": }'
    answer = submit_file(api, b"\n".join(lines))
    assert refused(answer, 422, "line 4322").startswith("line 4322: JSON is malformed")
    assert api.get("/v1/batches").json()["data"] == []


@on_sqlite
def test_i12_a_line_that_is_too_long_is_named(api: Api) -> None:
    line = b'{"custom_id": "c", "prompt": "' + b"x" * 17_000_000 + b'"}'
    answer = submit_file(api, LINES + line)
    assert "line 3" in refused(answer, 413)


@on_sqlite
def test_i13_both_lines_of_a_custom_id_are_named(api: Api) -> None:
    message = refused(submit_file(api, LINES + LINES), 422, "line 3.custom_id")
    assert message == "line 3.custom_id: 'a' is already used by line 1"


@on_sqlite
@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is empty"),
        (b" \n\r\n", "is empty"),
        (b"prompt,reference\na,b\n", "name a CSV file something.csv"),
        (b"\xef\xbb\xbf" + LINES, "byte order mark"),
        (LINES.decode().encode("utf-16"), "byte order mark"),
        (LINES + b'{"prompt": "\xff"}\n', "not UTF-8"),
        (LINES + b'{"prompt": "\xc3', "middle of a character"),
    ],
)
def test_i9_what_is_no_jsonl_is_refused_and_not_kept(
    api: Api, tmp_path: Path, content: bytes, words: str
) -> None:
    assert words in refused(sent(api, content), 422, "file")
    assert kept(tmp_path) == []


@on_sqlite
def test_a_file_over_the_limit_is_not_kept(
    api: Api, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upload, "FILE_BYTES_MAX", 100)
    refused(sent(api, b"{" + b" " * 200), 413, "file")
    assert kept(tmp_path) == []


@on_sqlite
def test_i7_what_says_that_it_is_too_large_is_not_read(api: Api) -> None:
    headers = {"Content-Length": "600000000", "Content-Type": "multipart/form-data; boundary=x"}
    refused(api.post("/v1/files", content=b"--x", headers=headers), 413, "file")


@on_sqlite
@pytest.mark.parametrize(
    ("form", "status", "param"),
    [
        ({"data": {"retention": "keep"}, "files": {"other": b"{}"}}, 422, "other"),
        ({"files": [("file", b"{}"), ("file", b"{}")]}, 400, None),
        ({"files": {"file": LINES}, "data": {"purpose": "batch"}}, 422, "purpose"),
        ({"files": {"file": LINES}, "data": {"retention": "some"}}, 422, "retention"),
        ({"files": {"file": LINES}, "data": {"retention": "x" * 2000}}, 400, None),
        ({"files": {"retention": b"keep"}}, 422, "retention"),
        ({"json": {"file": "x"}}, 422, None),
        ({"content": b"x", "headers": {"Content-Type": "multipart/form-data"}}, 400, None),
        (
            {"content": b"x", "headers": {"Content-Type": "multipart/form-data; boundary=y"}},
            400,
            None,
        ),
        (
            {"content": b"--y\r\n", "headers": {"Content-Type": "multipart/form-data; boundary=y"}},
            422,
            "file",
        ),
    ],
)
def test_a_form_that_is_none_is_refused(
    api: Api, form: dict[str, Any], status: int, param: str | None
) -> None:
    refused(api.post("/v1/files", **form), status, param)


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ("../../etc/passwd", "../../etc/passwd"),
        ("a\x00b\r\nX: y.jsonl", "abX: y.jsonl"),
        ("ü😀.jsonl", "ü😀.jsonl"),
        ("x" * 5000, "x" * 255),
        ("", "input.jsonl"),
    ],
)
def test_e5_a_files_name_is_only_a_name(api: Api, tmp_path: Path, given: str, name: str) -> None:
    row = upload.upload(api.engine.services, api.engine.account_id, given, [LINES])
    shown = api.get(f"/v1/files/{row.id}").json()
    assert shown["filename"] == name
    assert kept(tmp_path) == [row.id]


def test_a_file_that_no_row_names_is_not_kept(api: Api, tmp_path: Path) -> None:
    with pytest.raises(Exception, match="acct_unknown|FOREIGN KEY|foreign key"):
        upload.upload(api.engine.services, "acct_unknown", "in.jsonl", [LINES])
    with api.engine.store.read() as session:
        assert session.exec(select(InputFile)).all() == []
    assert kept(tmp_path) == []


def test_a_file_whose_content_is_gone_says_so(api: Api, tmp_path: Path) -> None:
    file = sent(api, LINES).json()
    (tmp_path / "files" / file["id"]).unlink()
    body = submission(jobs=None, input_file_id=file["id"])
    refused(api.post("/v1/batches", json=body), 404)


TEMPLATE = {"messages": [{"role": "user", "content": "{{ question }} ({{ tone }})"}]}


def parquet_of(rows: list[dict[str, Any]]) -> bytes:
    out = io.BytesIO()
    parquet.write_table(pa.Table.from_pylist(rows), out)
    return out.getvalue()


def submit_table(api: Api, content: bytes, name: str, **fields: Any) -> httpx2.Response:
    file = sent(api, content, name)
    assert file.status_code == 201, file.text
    asked = submission(jobs=None, input_file_id=file.json()["id"], **fields)
    return api.post("/v1/batches", json=asked)


ROWS = [{"custom_id": "a", "question": "Why, then?"}, {"custom_id": "b", "question": 'Say "so"'}]
CSV = b'custom_id,question,tone\r\na,"Why, then?",dry\r\n\r\nb,"Say ""so""",dry\r\n'


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("in.csv", CSV),
        ("in.csv", b"\xef\xbb\xbf" + CSV),
        ("in.parquet", parquet_of([row | {"tone": "dry"} for row in ROWS])),
    ],
)
def test_a_tables_columns_are_the_templates_variables(api: Api, name: str, content: bytes) -> None:
    answer = submit_table(api, content, name, template=TEMPLATE)
    assert answer.status_code == 201, answer.text
    assert custom_ids(api, answer.json()["id"]) == ["a", "b"]
    assert api.engine.prompts_of(answer.json()["id"]) == ["Why, then? (dry)", 'Say "so" (dry)']


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("in.CSV", b"custom_id,prompt,reference\n7,A?,x\n8,B?,\n"),
        ("in.csv", b"""custom_id,messages\n7,"[{""role"": ""user"", ""content"": ""A?""}]"\n8,"[{""role"": ""user"", ""content"": ""B?""}]"\n"""),
        ("any", parquet_of([{"custom_id": 7, "prompt": "A?"}, {"custom_id": 8, "prompt": "B?"}])),
    ],
)  # fmt: skip
def test_a_tables_columns_are_a_lines_fields(api: Api, name: str, content: bytes) -> None:
    answer = submit_table(api, content, name)
    assert answer.status_code == 201, answer.text
    assert custom_ids(api, answer.json()["id"]) == ["7", "8"]
    assert api.engine.prompts_of(answer.json()["id"]) == ["A?", "B?"]


@on_sqlite
@pytest.mark.parametrize(
    ("content", "param", "words"),
    [
        (b"question\nWhy?\n", "header", "'question' is none of custom_id"),
        (b"prompt,prompt\na,b\n", "header", "twice"),
        (b"prompt,\na,b\n", "header", "without a name"),
        (b"\n", "file", "is empty"),
        (b"prompt,reference\na,b\nc\n", "row 3", "has 1 cells, and the header 2"),
        (b'prompt\na\n"b"c\n', "row 3", "is no CSV"),
        (b'prompt\n"a', "row 2", "is no CSV"),
        (b'messages\n[{"role"\n', "row 2.messages", "is no JSON"),
        (b"prompt,custom_id\na,x\nb,x\n", "row 3.custom_id", "already used by row 2"),
        (b"prompt\n", "jobs", "there is no job"),
        (b"PAR1\x15\x04", "file", "no Parquet that can be read"),
    ],
)
def test_a_table_that_is_wrong_is_refused_by_the_row(
    api: Api, content: bytes, param: str, words: str
) -> None:
    if param == "file" and words == "is empty":
        assert words in refused(sent(api, content, "in.csv"), 422, param)
        return
    assert words in refused(submit_table(api, content, "in.csv"), 422, param)


@on_sqlite
def test_parquet_that_is_not_installed_says_what_to_install(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    message = refused(submit_table(api, b"PAR1", "in.parquet"), 422, "file")
    assert "overnight[parquet]" in message
