"""The simulated provider is deterministic, settable and honest."""

import statistics
from typing import Any

import pytest
from openai.types.chat import ChatCompletion

from app.domain.completion import Completion, FinishReason
from app.domain.errors import (
    InvalidRequestError,
    MalformedCompletionError,
    OutcomeUnknownError,
    ProviderRateLimitedError,
    ProviderUnavailableError,
)
from app.domain.prompt import Message, Params
from app.domain.wire import Request
from app.providers.base import CallInput, Credential
from app.providers.registry import adapter_for
from app.providers.simulated import MODELS, SimulatedSender
from app.providers.simulated_judge import quality_in

ADAPTER = adapter_for("simulated")
CREDENTIAL = Credential("simulated")
SENDER = SimulatedSender()
DEADLINE_S = 5.0


async def ask(
    question: str = "Why?",
    *,
    model: str = "gold",
    call: str = "call_1",
    attempt: int = 1,
    deadline_s: float = DEADLINE_S,
    params: dict[str, Any] | None = None,
    **options: Any,
) -> Completion:
    given = Params(extra={"simulated": {"latency_ms": 0, **options}}, **(params or {}))
    ADAPTER.check(given, model)
    asked = CallInput(call, model, [Message("user", question)], given, attempt=attempt)
    request = ADAPTER.build(asked, CREDENTIAL)
    return ADAPTER.read(await SENDER.send(request, deadline_s), asked, CREDENTIAL)


async def test_an_answer_says_that_it_is_simulated() -> None:
    completion = await ask()
    assert "simulated" in completion.text
    assert "no model was called" in completion.text
    assert (completion.finish_reason, completion.flags) == (FinishReason.STOP, ())
    assert completion.model_returned == "gold"


async def test_an_answer_does_not_name_its_model() -> None:
    assert "gold" not in (await ask()).text


async def test_its_shape_is_openais() -> None:
    body = b'{"model": "gold", "messages": [{"role": "user", "content": "hi"}]}'
    response = await SENDER.send(Request("POST", "https://simulated.invalid", {}, body), DEADLINE_S)
    ChatCompletion.model_validate_json(response.body, strict=True)


async def test_the_same_call_gets_the_same_answer_at_every_attempt() -> None:
    assert await ask(attempt=1) == await ask(attempt=2)
    assert (await ask(call="call_1")).text != (await ask(call="call_2")).text


async def test_with_a_seed_the_answer_depends_on_nothing_else_but_the_question() -> None:
    seeded = {"params": {"seed": 7}}
    assert await ask(call="call_1", **seeded) == await ask(call="call_2", **seeded)
    assert (await ask("Why?", **seeded)).text != (await ask("How?", **seeded)).text


@pytest.mark.parametrize("model", MODELS)
async def test_the_qualities_drawn_are_around_the_planted_one(model: str) -> None:
    drawn = [quality_in((await ask(model=model, call=f"call_{n}")).text) for n in range(200)]
    assert abs(statistics.mean(drawn) - MODELS[model].quality) < 0.25


async def test_a_quality_and_its_noise_can_be_set() -> None:
    assert quality_in((await ask(quality=1.25, noise=0)).text) == 1.25


async def test_a_name_that_is_not_listed_has_a_quality_of_its_own() -> None:
    first = [quality_in((await ask(model=f"other-{n}", noise=0)).text) for n in range(20)]
    again = [quality_in((await ask(model=f"other-{n}", noise=0)).text) for n in range(20)]
    assert first == again
    assert len(set(first)) > 10
    assert all(3 <= quality <= 8 for quality in first)


async def test_token_counts_can_be_set_and_the_answer_is_as_long_as_they_say() -> None:
    completion = await ask(input_tokens=1000, output_tokens=500)
    assert (completion.usage.input_tokens, completion.usage.output_tokens) == (1000, 500)
    assert abs(len(completion.text) - 2000) < 10


async def test_the_bound_on_tokens_is_kept() -> None:
    completion = await ask(output_tokens=500, params={"max_tokens": 20})
    assert completion.finish_reason is FinishReason.LENGTH
    assert completion.usage.output_tokens == 20
    assert len(completion.text) <= 80


async def test_json_is_answered_in_json() -> None:
    text = (await ask(params={"response_format": {"type": "json_object"}}, noise=0)).text
    assert text.startswith('{"answer": ')
    assert quality_in(text) == MODELS["gold"].quality


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        ({"status": 429, "retry_after_s": 2.5}, ProviderRateLimitedError),
        ({"status": 503, "retry_after_s": 2.5}, ProviderUnavailableError),
        ({"kind": "drop"}, OutcomeUnknownError),
        ("drop", OutcomeUnknownError),
        ("malformed", MalformedCompletionError),
    ],
)
async def test_faults_are_what_they_say(fault: object, kind: type[Exception]) -> None:
    with pytest.raises(kind) as caught:
        await ask(fault=fault)
    assert getattr(caught.value, "retry_after_s", 2.5) == 2.5


@pytest.mark.parametrize("options", [{"fault": "timeout"}, {"latency_ms": 600_000}])
async def test_p8_whatever_takes_too_long_is_cut_at_the_deadline(options: dict[str, Any]) -> None:
    with pytest.raises(OutcomeUnknownError) as caught:
        await ask(deadline_s=0.05, **options)
    assert caught.value.reason == "timeout"


async def test_a_fault_comes_in_its_share_of_the_attempts() -> None:
    failed = 0
    for attempt in range(400):
        try:
            await ask(attempt=attempt, fault={"status": 500, "rate": 0.25})
        except ProviderUnavailableError:
            failed += 1
    assert 60 < failed < 140


@pytest.mark.parametrize(
    ("options", "param"),
    [
        ({"latency": 1}, "extra.simulated"),
        ({"latency_ms": "1"}, "extra.simulated.latency_ms"),
        ({"latency_ms": -1}, "extra.simulated.latency_ms"),
        ({"quality": 11}, "extra.simulated.quality"),
        ({"fault": "fire"}, "extra.simulated.fault"),
        ({"fault": {}}, "extra.simulated.fault"),
        ({"fault": {"status": 500, "kind": "drop"}}, "extra.simulated.fault"),
        ({"fault": {"status": 200}}, "extra.simulated.fault.status"),
        ({"fault": {"status": 500, "rate": 2}}, "extra.simulated.fault.rate"),
        (7, "extra.simulated"),
    ],
)
def test_settings_that_are_none_are_refused_at_submit(options: object, param: str) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        ADAPTER.check(Params(extra={"simulated": options}), "gold")
    assert caught.value.param == param


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"model": 1, "messages": []}'])
async def test_a_request_it_cannot_read_is_answered_with_a_400(body: bytes) -> None:
    response = await SENDER.send(Request("POST", "https://simulated.invalid", {}, body), DEADLINE_S)
    assert response.status_code == 400


@pytest.mark.parametrize(
    "content",
    ["", "<<data x>>", "<<data x>>\nnot json", "<<data x>>\n[]", '<<data x>>\n{"contestants": 7}'],
)
async def test_a_judges_prompt_it_cannot_read_is_answered_like_any_other(content: str) -> None:
    verdict = {"type": "json_schema", "json_schema": {"name": "verdict", "schema": {}}}
    completion = await ask(content, params={"response_format": verdict})
    assert "simulated" in completion.text
