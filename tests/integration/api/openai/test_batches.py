"""Batches through the official client: created, run, and read from their files."""

import json
from typing import Any

import openai
import pytest
from openai.types import Batch
from openai.types.chat import ChatCompletion

from app.pipeline.finalize import finalize
from app.pipeline.openai.output import write_outputs
from app.queue import Step
from tests.integration.api.conftest import Api, on_sqlite
from tests.integration.api.openai.conftest import client_with

CHAT = "/v1/chat/completions"


def line(custom_id: str, url: str = CHAT, **body: Any) -> dict[str, Any]:
    asked = {"model": "simulated/gold", "messages": [{"role": "user", "content": "Why?"}]}
    return {"custom_id": custom_id, "method": "POST", "url": url, "body": {**asked, **body}}


def create(client: openai.OpenAI, *lines: Any, endpoint: Any = CHAT, **fields: Any) -> Batch:
    texts = [one if isinstance(one, str) else json.dumps(one) for one in lines]
    file = client.files.create(file=("in.jsonl", "\n".join(texts).encode()), purpose="batch")
    asked: dict[str, Any] = {"completion_window": "24h", **fields}
    return client.batches.create(input_file_id=file.id, endpoint=endpoint, **asked)


def lines_of(client: openai.OpenAI, file_id: str | None) -> dict[str, dict[str, Any]]:
    assert file_id is not None
    text = client.files.content(file_id).text
    return {one["custom_id"]: one for one in map(json.loads, text.splitlines())}


def run(api: Api, client: openai.OpenAI, *lines: Any, **fields: Any) -> Batch:
    batch = create(client, *lines, **fields)
    api.engine.drain()
    return client.batches.retrieve(batch.id)


def test_a_batch_runs_from_file_to_file(api: Api, client: openai.OpenAI) -> None:
    batch = create(client, line("a"), line("b", max_tokens=9), metadata={"team": "search"})
    assert (batch.object, batch.status, batch.endpoint) == ("batch", "validating", CHAT)
    assert (batch.completion_window, batch.metadata) == ("24h", {"team": "search"})
    assert batch.request_counts is not None
    assert batch.request_counts.to_dict() == {"total": 2, "completed": 0, "failed": 0}
    assert batch.expires_at == batch.created_at + 86_400
    api.engine.drain()
    done = client.batches.retrieve(batch.id)
    assert (done.status, done.model, done.errors) == ("completed", "simulated/gold", None)
    assert all((done.in_progress_at, done.finalizing_at, done.completed_at))
    assert (done.failed_at, done.expired_at, done.cancelled_at) == (None, None, None)
    assert done.request_counts is not None
    assert done.request_counts.to_dict() == {"total": 2, "completed": 2, "failed": 0}
    assert done.error_file_id is None
    output = lines_of(client, done.output_file_id)
    assert list(output) == ["a", "b"]
    assert output["a"].keys() == {"id", "custom_id", "response", "error"}
    assert output["a"]["id"].startswith("batch_req_")
    assert output["a"]["error"] is None
    response = output["a"]["response"]
    assert response.keys() == {"status_code", "request_id", "body"}
    assert response["status_code"] == 200
    completion = ChatCompletion.model_validate(response["body"], strict=True)
    assert completion.choices[0].message.content
    assert completion.choices[0].finish_reason == "stop"
    assert completion.model == "gold"
    usages = [one["response"]["body"]["usage"] for one in output.values()]
    assert done.usage is not None
    assert done.usage.total_tokens == sum(one["total_tokens"] for one in usages)
    assert done.usage.input_tokens == sum(one["prompt_tokens"] for one in usages)


def test_the_output_is_a_file_of_the_account(api: Api, client: openai.OpenAI) -> None:
    kept = {"anchor": "created_at", "seconds": 7200}
    done = run(api, client, line("a"), output_expires_after=kept)
    assert done.output_file_id is not None
    file = client.files.retrieve(done.output_file_id)
    assert (file.purpose, file.filename) == ("batch_output", f"{done.id}_output.jsonl")
    assert file.expires_at == file.created_at + 7200
    assert file.bytes == len(client.files.content(file.id).read())
    assert [one.id for one in client.files.list(purpose="batch_output")] == [file.id]
    with pytest.raises(openai.BadRequestError) as refused:
        client.batches.create(input_file_id=file.id, endpoint=CHAT, completion_window="24h")
    assert refused.value.param == "input_file_id"


def test_what_failed_is_in_the_error_file(api: Api, client: openai.OpenAI) -> None:
    fault = {"fault": {"status": 400}}
    done = run(api, client, line("good"), line("bad", simulated=fault))
    assert done.status == "completed"
    assert done.request_counts is not None
    assert done.request_counts.to_dict() == {"total": 2, "completed": 1, "failed": 1}
    assert list(lines_of(client, done.output_file_id)) == ["good"]
    bad = lines_of(client, done.error_file_id)["bad"]
    assert bad["error"] is None
    assert bad["response"]["status_code"] == 400
    assert bad["response"]["body"]["error"].keys() == {"message", "type", "param", "code"}


def test_law_8_files_are_written_once_and_the_same_again(api: Api, client: openai.OpenAI) -> None:
    done = run(api, client, line("a"), line("b", simulated={"fault": {"status": 400}}))
    before = [
        client.files.content(file_id).read()
        for file_id in (done.output_file_id, done.error_file_id)
        if file_id is not None
    ]
    assert finalize(api.engine.services, done.id) is False
    write_outputs(api.engine.services, done.id)
    assert client.batches.retrieve(done.id) == done
    after = [
        client.files.content(file_id).read()
        for file_id in (done.output_file_id, done.error_file_id)
        if file_id is not None
    ]
    assert before == after
    assert len(before) == 2


def test_a_cancelled_batch_says_so_of_every_line(api: Api, client: openai.OpenAI) -> None:
    batch = create(client, line("a"), line("b"))
    cancelling = client.batches.cancel(batch.id)
    assert cancelling.status == "cancelling"
    assert cancelling.cancelling_at
    api.engine.drain()
    done = client.batches.retrieve(batch.id)
    assert (done.status, done.output_file_id) == ("cancelled", None)
    assert done.cancelled_at
    errors = lines_of(client, done.error_file_id)
    assert {one["error"]["code"] for one in errors.values()} == {"batch_cancelled"}
    assert [one["response"] for one in errors.values()] == [None, None]
    assert client.batches.cancel(batch.id).status == "cancelled"


def test_a_batch_past_its_window_keeps_what_it_has(api: Api, client: openai.OpenAI) -> None:
    batch = create(client, line("a"), line("b"), completion_window="1h")
    assert batch.expires_at == batch.created_at + 3600
    engine = api.engine
    engine.follow(*engine.queue.hints.popleft())
    assert engine.pump_once(wanted=1)
    with engine.store.transaction() as tx:
        tx.execute(
            engine.store.sql("UPDATE batch SET deadline = {after_ms(-1000)} WHERE id = :id"),
            {"id": batch.id},
        )
    api.engine.follow(Step.RECONCILE, ())
    api.engine.drain()
    done = client.batches.retrieve(batch.id)
    assert done.status == "expired"
    assert done.expired_at
    assert list(lines_of(client, done.output_file_id)) == ["a"]
    late = lines_of(client, done.error_file_id)["b"]
    assert (late["response"], late["error"]["code"]) == (None, "batch_expired")


def test_batches_are_listed_in_pages(client: openai.OpenAI, api: Api) -> None:
    ids = [create(client, line("a")).id for _ in range(5)]
    page = client.batches.list(limit=2)
    assert page.has_more
    assert [batch.id for batch in page] == ids[::-1]
    api.submit()
    assert len(list(client.batches.list())) == 5
    stranger = client_with(api, api.stranger_key())
    assert list(stranger.batches.list()) == []
    for ask in (stranger.batches.retrieve, stranger.batches.cancel):
        with pytest.raises(openai.NotFoundError):
            ask(ids[0])


def test_a_retry_asks_the_same_of_what_failed(api: Api, client: openai.OpenAI) -> None:
    first = line("a", max_tokens=5, simulated={"fault": {"status": 400}})
    done = run(api, client, first, line("b", model="silver"))
    again = api.post(f"/v1/batches/{done.id}/retry")
    assert again.status_code == 201, again.text
    api.engine.drain()
    results = api.get(f"/v1/batches/{again.json()['id']}/results").json()["data"]
    assert [one["custom_id"] for one in results] == ["a"]
    assert results[0]["completions"][0]["model"] == "gold"


@on_sqlite
@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"endpoint": "/v1/videos"}, "endpoint"),
        ({"completion_window": "soon"}, "completion_window"),
        ({"completion_window": "0h"}, "completion_window"),
        ({"metadata": {"k": "x" * 513}}, "metadata.k"),
        ({"metadata": {"k" * 65: "x"}}, "metadata"),
        ({"metadata": {str(n): "x" for n in range(17)}}, "metadata"),
        ({"metadata": {"overnight": "{"}}, "metadata.overnight"),
        ({"metadata": {"overnight": '{"nothing": 1}'}}, "metadata.overnight.nothing"),
        ({"metadata": {"overnight": '{"priority": 99}'}}, "metadata.overnight.priority"),
        (
            {"output_expires_after": {"anchor": "created_at", "seconds": 1}},
            "output_expires_after.seconds",
        ),
        ({"extra_body": {"other": 1}}, None),
    ],
)
def test_a_request_that_is_wrong_makes_no_batch(
    client: openai.OpenAI, fields: dict[str, Any], param: str | None
) -> None:
    with pytest.raises(openai.BadRequestError) as refused:
        create(client, line("a"), **fields)
    assert refused.value.param == param
    assert list(client.batches.list()) == []
