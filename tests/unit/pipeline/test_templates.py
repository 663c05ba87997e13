"""Templates put variables in, and can do nothing else."""

import time
from typing import Any

import pytest

from app.domain.errors import InvalidRequestError
from app.domain.prompt import TEXT_CHARS_MAX, ImagePart, ImageUrl, Message, TextPart
from app.pipeline.lines import RawLine, Rules, spool_lines
from app.pipeline.templates import MessagesTemplate


def of(text: str) -> MessagesTemplate:
    return MessagesTemplate({"messages": [{"role": "user", "content": text}]})


def filled(template: str, variables: dict[str, Any]) -> str:
    (message,) = of(template).render(variables, "jobs[0]")
    return message.text


def refusal(text: str, **variables: Any) -> InvalidRequestError:
    with pytest.raises(InvalidRequestError) as caught:
        of(text).render(variables, "jobs[0]")
    return caught.value


@pytest.mark.parametrize(
    ("template", "variables", "text"),
    [
        ("Why {{ thing }}?\n", {"thing": "rain"}, "Why rain?\n"),
        ("{{ a.b }} {{ a['b'] }} {{ c[0] }}", {"a": {"b": 1}, "c": [2.5]}, "1 1 2.5"),
        ("{{ yes }} {{ none }}|{{ list }}", {"yes": True, "none": None, "list": [1, "ä"]}, 'true |[1,"ä"]'),
        ("{% for e in shots %}{{ e.q }}: {{ e.a }}\n{% endfor %}", {"shots": [{"q": "x", "a": "y"}]}, "x: y\n"),
        ("{% if hint is defined %}{{ hint }}{% else %}-{% endif %}", {}, "-"),
        ("{{ hint|default('none')|upper }}", {}, "NONE"),
        ("{{ '<b>' }} {{ names|join(', ') }}", {"names": ["a", "b"]}, "<b> a, b"),
        ("{{ text }}", {"text": "{{ 7 }} {% raw %}"}, "{{ 7 }} {% raw %}"),
    ],
)  # fmt: skip
def test_variables_are_put_in(template: str, variables: dict[str, Any], text: str) -> None:
    assert filled(template, variables) == text


def test_every_text_and_image_of_a_message_is_a_template() -> None:
    template = MessagesTemplate(
        {
            "messages": [
                {"role": "system", "content": "You speak {{ tongue }}."},
                {
                    "role": "user",
                    "content": [
                        {"type": "text", "text": "What is {{ what }}?"},
                        {"type": "image_url", "image_url": {"url": "{{ image }}", "detail": "low"}},
                    ],
                },
            ]
        }
    )
    image = "https://example.com/a.png"
    variables = {"tongue": "Dutch", "what": "this", "image": image}
    assert template.render(variables, "line 1") == [
        Message("system", "You speak Dutch."),
        Message("user", [TextPart("What is this?"), ImagePart(ImageUrl(image, "low"))]),
    ]


@pytest.mark.parametrize(
    ("template", "why"),
    [
        ("{{ a(1) }}", "calling something is not taken"),
        ("{{ 9 ** 9 ** 9 }}", "pow is not taken"),
        ("{{ 'a' * 1000000000 }}", "mul is not taken"),
        ("{% set a = 'x' %}", "set is not taken"),
        ("{% macro m() %}{% endmacro %}", "macro is not taken"),
        ("{% include 'other' %}", "include is not taken"),
        ("{% import 'os' as os %}", "import is not taken"),
        ("{% for a in x %}{% for b in x %}{% endfor %}{% endfor %}", "a loop inside a loop"),
        ("{{ a|replace('', 'bb') }}", "the filter 'replace' is none of"),
        ("{{ a|attr('__class__') }}", "the filter 'attr' is none of"),
        ("{{ a ", "line 1: "),
        ("{% nothing %}", "line 1: "),
    ],
)
def test_what_could_compute_is_refused_before_any_line(template: str, why: str) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        of(template)
    assert caught.value.param == "template.messages[0].content"
    assert why in caught.value.message


@pytest.mark.parametrize(
    "template",
    [
        "{{ ''.__class__ }}",
        "{{ a.__class__.__mro__ }}",
        "{{ a['__class__'] }}",
        "{{ a.items }}",
        "{{ a.format }}",
        "{{ cycler }}",
        "{{ range }}",
        "{{ self }}",
        "{{ lipsum.__globals__ }}",
    ],
)
def test_nothing_of_python_is_reached(template: str) -> None:
    error = refusal(template, a={"b": "c"})
    assert error.param == "jobs[0].vars"
    assert "template.messages[0].content cannot be filled in" in error.message


def test_a_missing_variable_is_named() -> None:
    assert "'thing' is undefined" in refusal("{{ thing }}", other=1).message
    assert "has no attribute 'b'" in refusal("{{ a.b }}", a={}).message


def test_a_text_that_grows_too_long_is_stopped_on_the_way() -> None:
    began = time.process_time()
    error = refusal("{% for e in x %}{{ y }}{% endfor %}", x=[0] * 100_000, y="z" * 100_000)
    assert f"over {TEXT_CHARS_MAX:,} characters" in error.message
    assert time.process_time() - began < 5  # 10 GB would take longer


@pytest.mark.parametrize(
    ("template", "param"),
    [
        ({}, "template"),
        ({"messages": []}, "template.messages"),
        ({"messages": [{"role": "system", "content": "a"}]}, "template.messages"),
        ({"messages": [{"role": "user", "content": 1}]}, "template.messages[0].content"),
        ({"messages": [{"role": "user", "content": "a"}], "more": 1}, "template"),
    ],
)
def test_a_template_of_another_shape_is_refused(template: dict[str, Any], param: str) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        MessagesTemplate(template)
    assert caught.value.param == param


def test_a_line_has_variables_or_words_of_its_own() -> None:
    lines = [b'{"vars": {"q": "why"}, "reference": "so"}', b'{"prompt": "{{ q }}"}']
    spool = spool_lines(
        [RawLine(f"jobs[{n}]", line) for n, line in enumerate(lines)],
        Rules(template=of("Say {{ q }}")),
    )
    assert list(spool.prompts()) == [
        '{"messages":[{"role":"user","content":"Say why"}],"reference":"so"}',
        '{"messages":[{"role":"user","content":"{{ q }}"}],"reference":null}',
    ]
    spool.close()


@pytest.mark.parametrize(
    ("line", "template", "message"),
    [
        (b'{"vars": {}}', None, "jobs[0].vars: the batch has no template"),
        (b'{"vars": {"q": 1}, "prompt": "a"}', "{{ q }}", "jobs[0]: needs either messages or prompt, or vars for the template"),
        (b"{}", "{{ q }}", "jobs[0]: needs either messages or prompt, or vars for the template"),
        (b"{}", None, "jobs[0]: needs either messages or prompt"),
        (b'{"vars": []}', "{{ q }}", "jobs[0].vars: expected `object | null`, got `array`"),
        (b'{"vars": {"q": "\\u0000"}}', "{{ q }}", "jobs[0]: text must not hold NUL characters"),
    ],
)  # fmt: skip
def test_a_line_that_says_too_much_or_too_little_is_refused(
    line: bytes, template: str | None, message: str
) -> None:
    rules = Rules(template=None if template is None else of(template))
    with pytest.raises(InvalidRequestError) as caught:
        spool_lines([RawLine("jobs[0]", line)], rules)
    assert caught.value.message == message
