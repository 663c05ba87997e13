"""One question at a time through the official client, over the same pipeline as a batch."""

import asyncio
import threading
from collections.abc import Iterator
from typing import Any

import httpx2
import msgspec
import openai
import pytest
from sqlmodel import select
from starlette.requests import ClientDisconnect, Request

from api.openai.waiting import Asked
from app.endings import Endings
from app.models import Batch, Call
from app.pipeline.openai import ask as use_case
from app.pipeline.openai.asked import CHAT
from tests.fakes.engine import Engine
from tests.integration.api.conftest import Api, on_sqlite

ASKED: Any = [{"role": "user", "content": "Why?"}]


@pytest.fixture
def at_work(api: Api) -> Iterator[Engine]:
    """The engine, following hints and sending calls all the while."""
    stopping = threading.Event()

    def work() -> None:
        while not stopping.wait(0.01):
            api.engine.drain()

    thread = threading.Thread(target=work)
    thread.start()
    yield api.engine
    stopping.set()
    thread.join()


def batches(engine: Engine) -> list[Batch]:
    with engine.store.read() as session:
        return list(session.exec(select(Batch)))


def test_a_question_is_answered(at_work: Engine, api: Api, client: openai.OpenAI) -> None:
    answer = client.chat.completions.create(model="gold", messages=ASKED, max_completion_tokens=9)
    assert answer.object == "chat.completion"
    assert answer.choices[0].message.content
    assert answer.usage is not None
    assert answer.usage.completion_tokens <= 9
    assert answer.to_dict()["overnight"]["mode"] == "chat"  # type: ignore[index]
    (batch,) = batches(at_work)
    assert batch.interactive
    assert api.get("/v1/batches").json()["data"] == []
    assert list(client.batches.list()) == []


@pytest.mark.usefixtures("at_work")
def test_a_blend_and_a_mesh_are_tried_the_same_way(client: openai.OpenAI) -> None:
    models = ["simulated/gold", "simulated/tin"]
    for overnight in (
        {"models": models, "blend": {"strategy": "best_of"}},
        {"models": models, "judge": {"judges": ["simulated/judge"]}},
        {"mesh": {"fallback": ["simulated/tin"]}},
    ):
        answer = client.chat.completions.create(
            model="simulated/gold", messages=ASKED, extra_body={"overnight": overnight}
        )
        assert answer.choices[0].message.content
        assert answer.to_dict()["overnight"]["completions"]  # type: ignore[index]


@pytest.mark.usefixtures("at_work")
def test_a_stream_is_the_whole_answer_in_pieces(client: openai.OpenAI) -> None:
    asked: dict[str, Any] = {"model": "simulated/gold", "messages": ASKED, "seed": 7}
    asked["extra_body"] = {"simulated": {"output_tokens": 300}}
    whole = client.chat.completions.create(**asked)
    chunks = list(
        client.chat.completions.create(**asked, stream=True, stream_options={"include_usage": True})
    )
    assert {chunk.object for chunk in chunks} == {"chat.completion.chunk"}
    assert len({chunk.id for chunk in chunks}) == 1
    pieces = [chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices]
    assert "".join(pieces) == whole.choices[0].message.content
    assert len(pieces) > 3
    assert [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices][-1] == "stop"
    assert chunks[-1].choices == []
    assert chunks[-1].usage == whole.usage


@pytest.mark.parametrize(
    ("fault", "status", "kind"),
    [
        ({"status": 400}, 400, openai.BadRequestError),
        ({"status": 404}, 404, openai.NotFoundError),
        ({"status": 429}, 429, openai.RateLimitError),
        ({"status": 500}, 500, openai.InternalServerError),
        ({"kind": "malformed"}, 502, openai.InternalServerError),
        ({"kind": "drop"}, 502, openai.InternalServerError),
    ],
)
@on_sqlite
def test_what_a_provider_says_is_handed_on(
    at_work: Engine, client: openai.OpenAI, fault: dict[str, Any], status: int, kind: Any
) -> None:
    asked: Any = {"extra_body": {"simulated": {"fault": fault}}}
    with pytest.raises(kind) as failed:
        client.chat.completions.create(model="simulated/gold", messages=ASKED, **asked)
    assert failed.value.status_code == status
    with at_work.store.read() as session:
        (call,) = session.exec(select(Call))
    assert (call.state, call.attempts) == ("failed", 1)


@on_sqlite
@pytest.mark.usefixtures("at_work")
def test_a_stream_that_fails_says_so_in_an_event(client: openai.OpenAI) -> None:
    stream = client.chat.completions.create(
        model="simulated/gold",
        messages=ASKED,
        stream=True,
        extra_body={"simulated": {"fault": {"status": 400}}},
    )
    with pytest.raises(openai.APIError):
        list(stream)


@on_sqlite
@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"model": "nobody-has-this"}, "model"),
        ({"temperature": 9}, "temperature"),
        ({"messages": []}, "messages"),
        ({"n": 3}, "n"),
        ({"stream_options": {"include_usage": True}}, "stream_options"),
        ({"extra_body": {"overnight": {"mode": "dance"}}}, "overnight.mode"),
        ({"extra_body": {"overnight": {"models": ["anthropic/claude"]}}}, "overnight.models"),
    ],
)
def test_a_question_that_is_wrong_is_a_400_that_names_the_field(
    api: Api, client: openai.OpenAI, fields: dict[str, Any], param: str
) -> None:
    asked: dict[str, Any] = {"model": "simulated/gold", "messages": ASKED, **fields}
    with pytest.raises(openai.BadRequestError) as refused:
        client.chat.completions.create(**asked)
    assert refused.value.param == param
    assert batches(api.engine) == []


@pytest.mark.usefixtures("at_work")
def test_a_response_is_answered_in_its_own_shape(client: openai.OpenAI) -> None:
    response = client.responses.create(
        model="simulated/gold", instructions="Be brief.", input="Why?", max_output_tokens=20
    )
    assert response.output_text
    assert response.usage is not None


def test_models_are_listed(client: openai.OpenAI) -> None:
    listed = {model.id: model for model in client.models.list()}
    assert listed["simulated/gold"].owned_by == "simulated"
    assert client.models.retrieve("simulated/gold") == listed["simulated/gold"]
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("simulated/none")


@on_sqlite
def test_nobody_waits_for_ever(
    api: Api, client: openai.OpenAI, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(use_case, "WAIT_MAX_S", 0.2)
    with pytest.raises(openai.InternalServerError) as late:
        client.chat.completions.create(model="simulated/gold", messages=ASKED)
    assert (late.value.status_code, late.value.code) == (504, "timeout")
    assert late.value.response.headers["x-should-retry"] == "false"
    (batch,) = batches(api.engine)
    assert (batch.state, batch.ending) == ("cancelling", "cancelled")


@on_sqlite
async def test_who_leaves_is_not_worked_for(engine: Engine) -> None:
    batch_id = use_case.ask(engine.services, engine.account_id, CHAT, _fields())
    asked = Asked(engine.services, Endings("unix:///none"), engine.account_id, batch_id, CHAT)

    async def receive() -> Any:
        return {"type": "http.disconnect"}

    with pytest.raises(ClientDisconnect):
        await asked.answer_unless_gone(Request({"type": "http"}, receive))
    (batch,) = batches(engine)
    assert batch.ending == "cancelled"
    engine.drain()
    assert engine.carried == []


@on_sqlite
async def test_a_nudge_is_enough_to_look(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("api.openai.waiting._LOOK_FIRST_S", 60)
    endings = Endings("unix:///none")
    batch_id = use_case.ask(engine.services, engine.account_id, CHAT, _fields())
    asked = Asked(engine.services, endings, engine.account_id, batch_id, CHAT)
    waiting = asyncio.create_task(asked.answer())
    await asyncio.to_thread(engine.drain)
    assert not waiting.done()
    endings.hear(batch_id)
    assert await waiting


def _fields() -> Any:
    body = msgspec.json.encode({"model": "simulated/gold", "messages": ASKED})
    return msgspec.json.decode(body, type=dict[str, msgspec.Raw])


@on_sqlite
def test_a_body_that_is_no_json_is_a_400(api: Api) -> None:
    for content in (b"{", b"[]", b'{"model": 1}', b"\xff"):
        answer: httpx2.Response = api.post("/openai/v1/chat/completions", content=content)
        assert answer.status_code == 400, answer.text
        assert answer.json()["error"].keys() == {"message", "type", "param", "code"}


@on_sqlite
@pytest.mark.usefixtures("at_work")
def test_what_tools_answered_is_taken_at_both_doors(client: openai.OpenAI) -> None:
    function: Any = {"name": "weather", "arguments": "{}"}
    called: Any = {"role": "assistant", "content": None, "tool_calls": [
        {"id": "c1", "type": "function", "function": function}
    ]}  # fmt: skip
    answered: Any = {"role": "tool", "tool_call_id": "c1", "content": "3 °C"}
    chat = client.chat.completions.create(
        model="simulated/gold", messages=[*ASKED, called, answered]
    )
    assert chat.choices[0].message.content
    told = client.responses.create(
        model="simulated/gold",
        input=[
            {"role": "user", "content": "Why?"},
            {"type": "function_call", "call_id": "c1", **function},
            {"type": "function_call", "call_id": "c2", **function},
            {"type": "function_call_output", "call_id": "c1", "output": "3 °C"},
            {"type": "function_call_output", "call_id": "c2", "output": "4 °C"},
        ],
    )
    assert told.output_text
    with pytest.raises(openai.BadRequestError, match=r"messages\[1\].*answers no call"):
        client.chat.completions.create(model="simulated/gold", messages=[*ASKED, answered])
