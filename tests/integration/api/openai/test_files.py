"""Files through the official client: uploaded, listed, read and deleted."""

from datetime import timedelta
from pathlib import Path

import openai
import pytest
from openai.types import FileObject
from sqlmodel import select

from app.accounts.api_keys import Scope
from app.models import InputFile
from app.pipeline import upload
from app.pipeline.reconcile import reconcile
from tests.integration.api.conftest import Api, kept, on_sqlite
from tests.integration.api.openai.conftest import client_with

LINES = b'{"custom_id": "a"}\n{"custom_id": "b"}\n'


def create(client: openai.OpenAI, content: bytes = LINES, name: str = "in.jsonl") -> FileObject:
    return client.files.create(file=(name, content), purpose="batch")


def test_a_file_is_uploaded_read_and_deleted(client: openai.OpenAI, tmp_path: Path) -> None:
    file = create(client)
    assert (file.object, file.bytes, file.filename) == ("file", len(LINES), "in.jsonl")
    assert (file.purpose, file.status) == ("batch", "processed")
    assert client.files.retrieve(file.id) == file
    assert client.files.content(file.id).read() == LINES
    deleted = client.files.delete(file.id)
    assert (deleted.id, deleted.deleted, deleted.object) == (file.id, True, "file")
    with pytest.raises(openai.NotFoundError):
        client.files.retrieve(file.id)
    assert kept(tmp_path) == []


def test_a_file_is_kept_for_thirty_days_unless_told(client: openai.OpenAI) -> None:
    file = create(client)
    assert file.expires_at == file.created_at + 30 * 86_400
    short = client.files.create(
        file=("in.jsonl", LINES),
        purpose="batch",
        expires_after={"anchor": "created_at", "seconds": 3600},
    )
    assert short.expires_at == short.created_at + 3600


def test_a_file_that_expired_is_gone_and_swept(
    client: openai.OpenAI, api: Api, tmp_path: Path
) -> None:
    file, other = create(client), create(client)
    with api.engine.store.transaction() as tx:
        row = tx.get_one(InputFile, file.id)
        assert row.expires_at is not None
        row.expires_at -= timedelta(days=31)
    with pytest.raises(openai.NotFoundError):
        client.files.content(file.id)
    assert [one.id for one in client.files.list()] == [other.id]
    reconcile(api.engine.services)
    assert kept(tmp_path) == [other.id]
    with api.engine.store.read() as session:
        assert session.exec(select(InputFile.id)).all() == [other.id]


def test_a_file_whose_deletion_was_cut_short_is_swept(
    client: openai.OpenAI, api: Api, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = create(client)

    def broken(*_: object) -> None:
        raise upload.UnavailableError

    with monkeypatch.context() as patched, pytest.raises(openai.InternalServerError):
        patched.setattr(upload.Files, "delete", broken)
        client.files.delete(file.id)
    with pytest.raises(openai.NotFoundError):
        client.files.retrieve(file.id)
    reconcile(api.engine.services)
    assert kept(tmp_path) == []


@pytest.mark.parametrize("order", ["asc", "desc"])
def test_files_are_listed_in_pages(client: openai.OpenAI, order: str) -> None:
    ids = [create(client).id for _ in range(5)]
    page = client.files.list(limit=2, order=order)
    assert page.has_more
    listed = [file.id for file in page]
    assert listed == (ids if order == "asc" else ids[::-1])
    assert [file.id for file in client.files.list(purpose="batch_output")] == []


def test_a_file_is_nobody_elses(client: openai.OpenAI, api: Api) -> None:
    file = create(client)
    stranger = client_with(api, api.stranger_key())
    assert list(stranger.files.list()) == []
    for ask in (stranger.files.retrieve, stranger.files.content, stranger.files.delete):
        with pytest.raises(openai.NotFoundError):
            ask(file.id)
    assert client.files.content(file.id).read() == LINES


def test_a_file_of_the_native_door_is_the_same_file(client: openai.OpenAI, api: Api) -> None:
    made = api.post("/v1/files", files={"file": ("in.jsonl", LINES)}).json()
    assert client.files.content(made["id"]).read() == LINES
    assert client.files.retrieve(made["id"]).expires_at is None


@on_sqlite
@pytest.mark.parametrize(
    ("form", "param"),
    [
        ({"purpose": "assistants"}, "purpose"),
        ({}, "purpose"),
        ({"purpose": "batch", "other": "x"}, "other"),
        ({"purpose": "batch", "expires_after[seconds]": "3600"}, "expires_after[anchor]"),
        (
            {
                "purpose": "batch",
                "expires_after[anchor]": "created_at",
                "expires_after[seconds]": "60",
            },
            "expires_after[seconds]",
        ),
    ],
)
def test_a_form_that_is_wrong_is_a_400_that_names_the_field(
    api: Api, tmp_path: Path, form: dict[str, str], param: str
) -> None:
    answer = api.post("/openai/v1/files", files={"file": ("in.jsonl", LINES)}, data=form)
    assert answer.status_code == 400
    error = answer.json()["error"]
    assert error.keys() == {"message", "type", "param", "code"}
    assert (error["type"], error["param"]) == ("invalid_request_error", param)
    assert kept(tmp_path) == []


@on_sqlite
def test_every_error_has_openais_shape(
    client: openai.OpenAI, api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(openai.AuthenticationError) as unknown:
        client_with(api, "ovn_wrong").files.list()
    assert (unknown.value.code, unknown.value.type) == ("invalid_api_key", "invalid_request_error")
    reader = client_with(api, api.new_key(Scope.READ))
    with pytest.raises(openai.PermissionDeniedError) as denied:
        create(reader)
    assert denied.value.code == "insufficient_permissions"
    with pytest.raises(openai.NotFoundError) as missing:
        client.files.retrieve("file_none")
    assert missing.value.code == "not_found"
    monkeypatch.setattr(upload, "FILE_BYTES_MAX", 10)
    with pytest.raises(openai.APIStatusError) as large:
        create(client)
    assert (large.value.status_code, large.value.param) == (413, "file")
    for answer in (api.get("/openai/v1/nothing"), api.call("PUT", "/openai/v1/files")):
        assert answer.status_code in {404, 405}
        assert answer.json()["error"].keys() == {"message", "type", "param", "code"}
    with pytest.raises(openai.BadRequestError) as query:
        client.files.list(limit=0)
    assert query.value.param == "limit"


@on_sqlite
def test_a_fault_of_ours_has_openais_shape_too(
    client: openai.OpenAI, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise ValueError("nobody may read this")

    monkeypatch.setattr("api.openai.files.list_files", broken)
    with pytest.raises(openai.InternalServerError) as fault:
        client.files.list()
    assert fault.value.type == "server_error"
    assert "nobody" not in str(fault.value)
