"""What a submission asks of its models is checked before anything is stored."""

from typing import Any

import msgspec
import pytest

from app.domain.errors import InvalidRequestError
from app.domain.spec import BatchBody
from app.pipeline.lines import RawLine, Rules, spool_lines
from app.pipeline.variants import make_plan, prompt_check

URL = "https://example.com/a.png"


def body(*models: Any, **fields: Any) -> BatchBody:
    return BatchBody.model_validate({"mode": "compare", "models": list(models), **fields})


def refusal(*models: Any, **fields: Any) -> InvalidRequestError:
    with pytest.raises(InvalidRequestError) as caught:
        make_plan(body(*models, **fields))
    assert caught.value.message.startswith(caught.value.param or "?")
    return caught.value


def spool(line: dict[str, Any], *models: Any, **fields: Any) -> int:
    lines = [RawLine("jobs[0]", msgspec.json.encode(line))]
    checked = spool_lines(lines, Rules(prompt_check(make_plan(body(*models, **fields)))))
    checked.close()
    return checked.count


def looks_at(url: str) -> dict[str, Any]:
    parts = [
        {"type": "text", "text": "What is this?"},
        {"type": "image_url", "image_url": {"url": url}},
    ]
    return {"messages": [{"role": "user", "content": parts}]}


def test_the_newer_word_for_the_bound_is_understood() -> None:
    given = {"model": "openai/gpt-4o", "params": {"max_completion_tokens": 7}}
    plan = make_plan(body(given, "google/gemini-3.5-flash", params={"max_completion_tokens": 5}))
    assert [variant.params.max_tokens for variant in plan.variants] == [7, 5]


def test_both_words_for_it_are_one_too_many() -> None:
    both = {"max_tokens": 5, "max_completion_tokens": 5}
    assert refusal("openai/gpt-4o", params=both).param == "params.max_completion_tokens"


@pytest.mark.parametrize(
    ("model", "params", "param"),
    [
        ("anthropic/claude-opus-5", {"temperature": 0.5}, "temperature"),
        ("google/gemini-3.8-flash", {"top_p": 0.5}, "top_p"),
        ("openai/o3", {"stop": ["a"]}, "stop"),
        ("deepseek/deepseek-chat", {"seed": 1}, "seed"),
        ("groq/any", {"tool_choice": "auto"}, "tool_choice"),
        ("xai/any", {"tools": [{"type": "web_search"}]}, "tools[0].type"),
    ],
)
def test_what_one_model_does_not_take_names_it_and_the_field(
    model: str, params: dict[str, Any], param: str
) -> None:
    assert refusal("simulated/gold", {"model": model, "params": params}).param == (
        f"models[1].params.{param}"
    )


def test_an_image_that_one_of_the_models_does_not_take_is_refused_with_its_line() -> None:
    with pytest.raises(InvalidRequestError, match="google's gemini-3.5-flash") as caught:
        spool(looks_at(URL), "openai/gpt-4o", "google/gemini-3.5-flash")
    assert caught.value.param == "jobs[0].messages[0].content[1].image_url.url"


def test_so_is_one_that_the_judge_does_not_take() -> None:
    judge = {"judges": ["google/gemini-3.5-flash"]}
    models = ("openai/gpt-4o", "openai/gpt-4.1")
    with pytest.raises(InvalidRequestError, match="google"):
        spool(looks_at(URL), *models, mode="judge", judge=judge)


def test_an_image_that_all_take_passes() -> None:
    data = "data:image/png;base64,iVBORw0KGgo="
    assert spool(looks_at(data), "openai/gpt-4o", "google/gemini-3.5-flash") == 1
    assert spool(looks_at(URL), "openai/gpt-4o", "anthropic/claude-opus-5") == 1


def test_text_alone_is_never_checked() -> None:
    def check(_messages: object) -> None:
        raise AssertionError

    spool_lines([RawLine("jobs[0]", b'{"prompt": "a"}')], Rules(check)).close()
