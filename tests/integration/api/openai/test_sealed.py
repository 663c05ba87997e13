"""Sealed and zero-retention accounts at OpenAI's door: its files are kept as the texts are."""

import json
from pathlib import Path
from typing import Any

import openai
import pytest

from app.pipeline.retention import enforce_retention
from tests.factories.searching import tables_with
from tests.integration.api.conftest import Api, refused
from tests.integration.api.test_zero_retention import ack, age

PROMPT = "prompt-canary-c0de"
#: What the simulator is told, by line: to answer, and to refuse.
TOLD = {"good": {}, "bad": {"simulated": {"fault": {"status": 400}}}}


def content() -> bytes:
    asked = {"model": "simulated/gold", "messages": [{"role": "user", "content": PROMPT}]}
    lines = [
        {"custom_id": name, "method": "POST", "url": "/v1/chat/completions", "body": asked | told}
        for name, told in TOLD.items()
    ]
    return "\n".join(json.dumps(line) for line in lines).encode()


def finished(
    api: Api, client: openai.OpenAI, file_id: str | None = None, **more: Any
) -> openai.types.Batch:
    if file_id is None:
        file = ("in.jsonl", content())
        file_id = client.files.create(file=file, purpose="batch").id
    made = client.batches.create(
        input_file_id=file_id, endpoint="/v1/chat/completions", completion_window="24h", **more
    )
    api.engine.drain()
    batch = client.batches.retrieve(made.id)
    assert batch.status == "completed"
    return batch


def stored(api: Api) -> list[bytes]:
    folder = Path(api.engine.services.settings.files_base_url.removeprefix("file://"))
    return [path.read_bytes() for path in folder.iterdir()]


def read(client: openai.OpenAI, file_id: str | None) -> dict[str, Any]:
    assert file_id is not None
    answer = client.files.content(file_id)
    known = client.files.retrieve(file_id)
    assert len(answer.content) == known.bytes == int(answer.response.headers["content-length"])
    return {line["custom_id"]: line for line in map(json.loads, answer.text.splitlines())}


@pytest.mark.parametrize("setting", [{"seal": True}, {"retention": "none"}])
def test_k10_the_files_of_a_sealed_batch_are_sealed_and_read_as_ever(
    api: Api, client: openai.OpenAI, setting: dict[str, Any]
) -> None:
    assert api.call("PUT", "/v1/settings/privacy", json=setting).status_code == 200
    batch = finished(api, client)
    output, errors = read(client, batch.output_file_id), read(client, batch.error_file_id)
    text = output["good"]["response"]["body"]["choices"][0]["message"]["content"]
    assert text
    assert set(errors) == {"bad"}
    assert tables_with(api.engine.store, PROMPT) == set()
    files = stored(api)
    assert len(files) == 3
    assert not any(PROMPT.encode() in one or text.encode() in one for one in files)


def test_k10_what_was_acknowledged_is_gone_from_this_door_too(
    api: Api, client: openai.OpenAI
) -> None:
    file = api.post(
        "/v1/files", files={"file": ("in.jsonl", content())}, data={"retention": "none"}
    ).json()
    asked = {"overnight": json.dumps({"retention": "none"})}
    batch = finished(api, client, file["id"], metadata=asked)
    assert read(client, batch.output_file_id)
    assert ack(api, batch.id).status_code == 204
    for file_id in (batch.output_file_id, batch.error_file_id):
        answer = api.get(f"/openai/v1/files/{file_id}/content")
        assert answer.status_code == 410
        assert "acknowledged" in answer.json()["error"]["message"]
    enforce_retention(api.engine.services)
    assert stored(api) == []
    assert client.batches.retrieve(batch.id).request_counts == batch.request_counts


def test_a_file_that_is_kept_makes_no_batch_that_retains_nothing(
    api: Api, client: openai.OpenAI
) -> None:
    with pytest.raises(openai.BadRequestError, match="upload it with"):
        finished(api, client, metadata={"overnight": json.dumps({"retention": "none"})})


def test_what_was_written_goes_with_the_texts_when_their_days_are_over(
    api: Api, client: openai.OpenAI
) -> None:
    batch = finished(api, client)
    assert api.call("PUT", "/v1/settings/privacy", json={"retention_days": 30}).is_success
    age(api.engine.store, "batch", "closed_at", days=31)
    assert enforce_retention(api.engine.services) == 1
    assert api.get(f"/openai/v1/files/{batch.output_file_id}/content").status_code == 410
    assert len(stored(api)) == 1  # the input is not of the batch alone
    assert "retention period" in refused(api.get(f"/v1/batches/{batch.id}/results"), 410)
