"""Embeddings through the official client: a batch of them, and one at a time."""

import math
import threading
from typing import Any

import openai
import pytest
from openai.types import CreateEmbeddingResponse

from tests.integration.api.conftest import Api, on_sqlite
from tests.integration.api.openai.test_batches import create, line, lines_of, run

EMBEDDINGS = "/v1/embeddings"


def asked(custom_id: str, **body: Any) -> dict[str, Any]:
    given = {"model": "simulated/gold", "input": "Why?", **body}
    return {"custom_id": custom_id, "method": "POST", "url": EMBEDDINGS, "body": given}


def test_a_batch_of_embeddings(api: Api, client: openai.OpenAI) -> None:
    done = run(
        api,
        client,
        asked("a"),
        asked("b", input=["Why?", "How?"], dimensions=4),
        endpoint=EMBEDDINGS,
    )
    assert done.status == "completed", done.errors
    output = lines_of(client, done.output_file_id)
    bodies = {name: one["response"]["body"] for name, one in output.items()}
    first = CreateEmbeddingResponse.model_validate(bodies["a"])
    second = CreateEmbeddingResponse.model_validate(bodies["b"])
    assert math.isclose(math.hypot(*first.data[0].embedding), 1)
    assert [(one.index, len(one.embedding)) for one in second.data] == [(0, 4), (1, 4)]
    assert second.usage.prompt_tokens == second.usage.total_tokens > 0
    assert done.usage is not None
    assert done.usage.output_tokens == 0


def test_one_question_for_vectors(api: Api, client: openai.OpenAI) -> None:
    stopping = threading.Event()

    def work() -> None:
        while not stopping.wait(0.01):
            api.engine.drain()

    thread = threading.Thread(target=work)
    thread.start()
    try:
        # The client asks for base64 and reads it.
        made = client.embeddings.create(model="simulated/gold", input=["Why?", "How?"])
        again = client.embeddings.create(
            model="simulated/gold", input="Why?", encoding_format="float"
        )
    finally:
        stopping.set()
        thread.join()
    assert len(made.data) == 2
    assert made.data[0].embedding == pytest.approx(again.data[0].embedding, abs=1e-6)


@on_sqlite
def test_what_is_no_embedding_is_refused_by_the_line(api: Api, client: openai.OpenAI) -> None:
    api.call("PUT", "/v1/settings/keys/anthropic", json={"api_key": "sk-ant-123456789"})
    batch = create(
        client,
        asked("a", input=[]),
        asked("b", input=[[1, 2]]),
        asked("c", model="anthropic/claude-sonnet-4-5"),
        asked("d", overnight={"models": ["simulated/gold", "simulated/tin"]}),
        line("e", url=EMBEDDINGS),
        endpoint=EMBEDDINGS,
    )
    assert batch.errors is not None
    assert [one.param for one in batch.errors.data or []] == [
        "body.input",
        "body.input[0]",
        "body.embed",
        "body.overnight",
        "body.messages",
    ]
    assert "anthropic has no embeddings" in str((batch.errors.data or [])[2].message)
    with pytest.raises(openai.BadRequestError) as chat:
        client.chat.completions.create(
            model="simulated/gold",
            messages=[{"role": "user", "content": "Why?"}],
            extra_body={"embed": {}},
        )
    assert chat.value.param == "embed"
