"""The lines of OpenAI's batches: what is taken, what is not, and how a fault is told."""

import json
from typing import Any

import openai
import pytest
from openai.types.chat import ChatCompletion
from openai.types.responses import Response
from sqlmodel import select

from app.db import Store
from app.models import Job, StoredText
from tests.integration.api.conftest import Api, on_sqlite
from tests.integration.api.openai.test_batches import create, line, lines_of, run

RESPONSES = "/v1/responses"


def faults(batch: Any) -> list[tuple[Any, ...]]:
    assert batch.errors is not None
    return [(one.line, one.code, one.param) for one in batch.errors.data]


def prompts(store: Store, batch_id: str) -> list[dict[str, Any]]:
    with store.read() as session:
        rows = session.exec(select(StoredText).where(StoredText.batch_id == batch_id))
        found = {row.owner_id: json.loads(row.body) for row in rows if row.kind == "prompt"}
    return [found[key] for key in sorted(found)]


def test_a_wholly_wrong_file_is_a_batch_that_failed(api: Api, client: openai.OpenAI) -> None:
    batch = create(
        client,
        line("a"),
        "{",
        line("a"),
        line("b", url="/v1/responses"),
        line("c", messages=[]),
        line("d", temperature=9),
        line("e", model="nobody-has-this"),
        line("f", stream=True),
        line("g", n=2),
        {"custom_id": "h", "method": "GET", "url": "/v1/chat/completions", "body": {}},
        {"method": "POST"},
        line("i", model="simulated/gold", overnight={"mode": "dance"}),
        line(
            "j",
            messages=[
                {"role": "user", "content": "x"},
                {"role": "tool", "content": "x", "tool_call_id": "1"},
            ],
        ),
    )
    assert (batch.status, batch.request_counts, batch.output_file_id) == ("failed", None, None)
    assert batch.failed_at
    assert faults(batch) == [
        (2, "invalid_json_line", None),
        (3, "duplicate_custom_id", "custom_id"),
        (4, "mismatched_endpoint", "url"),
        (5, "invalid_request", "body.messages"),
        (6, "invalid_request", "body.temperature"),
        (7, "invalid_request", "body.model"),
        (8, "invalid_request", "body.stream"),
        (9, "invalid_request", "body.n"),
        (10, "invalid_method", "method"),
        (11, "invalid_request", None),
        (12, "invalid_request", "body.overnight.mode"),
        (13, "invalid_request", "body.messages[1]"),
    ]
    assert client.batches.retrieve(batch.id) == batch
    api.engine.drain()
    with api.engine.store.read() as session:
        assert session.exec(select(Job.id)).all() == []
    shown = api.get(f"/v1/batches/{batch.id}").json()
    assert (shown["state"], shown["counts"]["jobs"]["total"]) == ("failed", 0)
    assert api.get(f"/v1/batches/{batch.id}/report").status_code == 200


@on_sqlite
def test_a_fault_is_told_by_the_number_of_its_line_blank_ones_counted(
    client: openai.OpenAI,
) -> None:
    batch = create(client, "", line("a"), "   ", line("b"), line("a"))
    assert faults(batch) == [(5, "duplicate_custom_id", "custom_id")]
    assert batch.errors is not None
    assert batch.errors.data
    message = "line 5.custom_id: 'a' is already used by line 2"
    assert batch.errors.data[0].message == message


@on_sqlite
def test_no_more_than_a_hundred_faults_are_listed(client: openai.OpenAI) -> None:
    batch = create(client, *[line(f"c{n}", temperature=9) for n in range(150)])
    assert [number for number, *_ in faults(batch)] == list(range(1, 101))


def test_each_line_has_its_own_model_and_parameters(api: Api, client: openai.OpenAI) -> None:
    done = run(
        api,
        client,
        line("a", model="simulated/gold", max_tokens=7, seed=1),
        line("b", model="simulated/tin", temperature=0.5, max_completion_tokens=8),
        line("c", model="silver", stop="END"),
        line("d", model="simulated/gold", max_tokens=9),
        line("e", model="simulated/gold", simulated={"output_tokens": 3}),
    )
    assert (done.status, done.model) == ("completed", None)
    output = lines_of(client, done.output_file_id)
    models = [one["response"]["body"]["model"] for one in output.values()]
    assert models == ["gold", "tin", "silver", "gold", "gold"]
    kept = prompts(api.engine.store, done.id)
    assert [one.get("params") for one in kept] == [
        {"max_tokens": 7, "seed": 1},
        {"temperature": 0.5, "max_tokens": 8},
        {"stop": ["END"]},
        {"max_tokens": 9},
        {"extra": {"simulated": {"output_tokens": 3}}},
    ]
    used = [one["response"]["body"]["usage"]["completion_tokens"] for one in output.values()]
    assert used[0] <= 7
    assert used[3] <= 9
    assert used[4] == 3


@on_sqlite
@pytest.mark.parametrize(
    ("model", "words"),
    [
        ("gpt-4o", "there is no key for openai; write openai/gpt-4o"),
        ("nobody-has-this", "no provider with a key here lists 'nobody-has-this'"),
        ("anthropic/claude-sonnet-4-5", "there is no key for 'anthropic'"),
        ("", "model: is required"),
    ],
)
def test_a_model_that_nobody_can_be_asked_for_says_why(
    client: openai.OpenAI, model: str, words: str
) -> None:
    batch = create(client, line("a", model=model))
    assert batch.errors is not None
    assert batch.errors.data
    assert words in str(batch.errors.data[0].message)


@on_sqlite
def test_a_bare_name_that_two_may_mean_lists_them(api: Api, client: openai.OpenAI) -> None:
    for provider in ("groq", "cerebras"):
        api.call("PUT", f"/v1/settings/keys/{provider}", json={"api_key": f"sk-{provider}-123456"})
    batch = create(client, line("a", model="llama-3.3-70b"))
    if batch.errors is not None and batch.errors.data:
        assert "write" in str(batch.errors.data[0].message)
    one = create(client, line("a", model="groq/llama-3.3-70b-versatile"))
    assert one.status == "validating"


@on_sqlite
def test_a_name_nobody_lists_is_the_only_keys(api: Api, client: openai.OpenAI) -> None:
    api.call("PUT", "/v1/settings/keys/custom:local", json={"base_url": "http://127.0.0.1:9/v1"})
    batch = create(client, line("a", model="my-own-model"), line("b", logit_bias={"1": 2}))
    assert batch.status == "validating", batch.errors


def test_fields_that_a_vendor_does_not_know_are_refused(api: Api, client: openai.OpenAI) -> None:
    api.call("PUT", "/v1/settings/keys/anthropic", json={"api_key": "sk-ant-123456789"})
    asked = {"model": "anthropic/claude-sonnet-4-5", "max_tokens": 5}
    batch = create(client, line("a", **asked), line("b", logit_bias={"1": 2}, **asked))
    assert faults(batch) == [(2, "invalid_request", "body.logit_bias")]


def test_one_line_fans_out_and_its_winner_is_the_choice(api: Api, client: openai.OpenAI) -> None:
    models = ["simulated/gold", "simulated/tin"]
    judge = {"judges": ["simulated/judge"]}
    done = run(
        api,
        client,
        line("judged", overnight={"models": models, "judge": judge, "reference": "Because."}),
        line("blended", overnight={"models": models, "blend": {"strategy": "best_of"}}),
        line("meshed", overnight={"mesh": {"fallback": ["simulated/tin"]}}),
        line("compared", overnight={"models": models}),
        line("plain"),
    )
    assert done.status == "completed"
    bodies = {
        name: one["response"]["body"] for name, one in lines_of(client, done.output_file_id).items()
    }
    for body in bodies.values():
        assert ChatCompletion.model_validate(body).choices[0].message.content
    beyond = {name: body["overnight"] for name, body in bodies.items()}
    assert {name: one["mode"] for name, one in beyond.items()} == {
        "judged": "judge",
        "blended": "blend",
        "meshed": "mesh",
        "compared": "compare",
        "plain": "chat",
    }
    winner = beyond["judged"]["verdict"]["winner"]
    answers = {
        one["label"]: one["text"]
        for one in beyond["judged"]["completions"]
        if one["role"] == "candidate"
    }
    assert answers[winner] == bodies["judged"]["choices"][0]["message"]["content"]
    assert beyond["judged"]["label"] == winner
    assert len(answers) == 2
    synthesis = beyond["blended"]["synthesis"]
    assert synthesis["text"] == bodies["blended"]["choices"][0]["message"]["content"]
    assert beyond["meshed"]["route"][0]["outcome"] == "succeeded"
    assert "completions" not in beyond["plain"]
    native = api.get(f"/v1/batches/{done.id}").json()
    assert native["mode"] == "mixed"
    assert prompts(api.engine.store, done.id)[0]["reference"] == "Because."


def test_a_batchs_metadata_gives_what_its_lines_do_not(api: Api, client: openai.OpenAI) -> None:
    overnight = {
        "models": ["simulated/gold", {"model": "simulated/tin", "params": {"max_tokens": 4}}],
        "judge": {"judges": ["simulated/judge"]},
        "name": "nightly",
        "priority": 9,
    }
    done = run(
        api,
        client,
        line("a", max_tokens=30),
        line("b", overnight={"models": ["simulated/silver"], "mode": "chat", "judge": None}),
        metadata={"overnight": json.dumps(overnight), "team": "search"},
    )
    assert done.status == "completed", done
    output = lines_of(client, done.output_file_id)
    first = output["a"]["response"]["body"]["overnight"]
    assert first["mode"] == "judge"
    tokens = {one["label"]: one["usage"]["output_tokens"] for one in first["completions"]}
    assert tokens["simulated/tin"] <= 4 < tokens["simulated/gold"] <= 30
    assert output["b"]["response"]["body"]["overnight"]["mode"] == "chat"
    native = api.get(f"/v1/batches/{done.id}").json()
    assert (native["name"], native["priority"]) == ("nightly", 9)


def test_responses_are_answered_in_their_own_shape(api: Api, client: openai.OpenAI) -> None:
    asked = {"model": "simulated/gold", "input": "Why?", "instructions": "Be brief."}
    parts = [{"type": "input_text", "text": "Why then?"}]
    done = run(
        api,
        client,
        {"custom_id": "a", "method": "POST", "url": RESPONSES, "body": asked},
        {
            "custom_id": "b",
            "method": "POST",
            "url": RESPONSES,
            "body": {
                "model": "simulated/gold",
                "input": [
                    {"role": "developer", "content": "x"},
                    {"role": "user", "content": parts},
                ],
                "max_output_tokens": 16,
            },
        },
        endpoint=RESPONSES,
    )
    assert done.status == "completed", done.errors
    output = lines_of(client, done.output_file_id)
    response = Response.model_validate(output["a"]["response"]["body"], strict=True)
    assert response.output_text
    assert response.usage is not None
    assert done.usage is not None
    assert prompts(api.engine.store, done.id)[1]["messages"][1]["content"] == [
        {"type": "text", "text": "Why then?"}
    ]
    assert [one["role"] for one in prompts(api.engine.store, done.id)[0]["messages"]] == [
        "system",
        "user",
    ]
