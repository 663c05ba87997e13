"""What adapters are asked for in the tests of their requests, and how much of it a model takes."""

from dataclasses import replace
from typing import Any

from app.domain.errors import InvalidRequestError
from app.domain.prompt import ChosenTool, Function, FunctionRef, Params, Tool
from tests.contract.speakers import PNG, Speaker

SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {"n": {"type": "integer"}},
    "required": ["n"],
    "additionalProperties": False,
}
WEATHER = Function("weather", "The weather.", {"type": "object", "properties": {}}, strict=True)
TOOLS = [Tool(WEATHER)]
NAMED_SCHEMA = {"name": "number", "schema": SCHEMA, "strict": True}
PARAMS: dict[str, Any] = {
    "temperature": 0.5,
    "top_p": 0.9,
    "max_tokens": 64,
    "stop": ["END"],
    "seed": 7,
    "response_format": {"type": "json_schema", "json_schema": NAMED_SCHEMA},
    "tools": TOOLS,
    "reasoning_effort": "low",
}
CASES: dict[str, dict[str, Any]] = {
    "nothing": {},
    **{name: {name: value} for name, value in PARAMS.items()},
    "all": PARAMS,
    "json": {"response_format": {"type": "json_object"}},
    "must call": {"tools": TOOLS, "tool_choice": "required"},
    "must not call": {"tools": TOOLS, "tool_choice": "none"},
    "must call this": {"tools": TOOLS, "tool_choice": ChosenTool(FunctionRef("weather"))},
}


def taken_of(speaker: Speaker, wanted: dict[str, Any], model: str) -> Params:
    """As much of the parameters as the model takes: each refusal names one."""
    left = dict(wanted)
    while True:
        params = Params(**left)
        try:
            speaker.adapter.check(params, model)
        except InvalidRequestError as error:
            field = (error.param or "").partition(".")[0]
        else:
            return params
        del left[field]
        if field == "tools":
            left.pop("tool_choice", None)


def sent_to(speaker: Speaker, params: Params, model: str) -> Any:
    """The body of a request to a model."""
    language = type(speaker.language)()
    language.model = model
    return replace(speaker, language=language).sent(params)


FUNCTION = {
    "name": "weather",
    "description": "The weather.",
    "parameters": WEATHER.parameters,
    "strict": True,
}
#: The messages of the tests, as somebody would write them for OpenAI's client.
CHAT: list[Any] = [
    {"role": "system", "content": "You are terse."},
    {
        "role": "user",
        "content": [
            {"type": "text", "text": "What is this?"},
            {"type": "image_url", "image_url": {"url": PNG}},
        ],
    },
    {"role": "assistant", "content": "A cat."},
    {"role": "user", "content": "And what is 1+1? 😀"},
]
