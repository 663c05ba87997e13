"""What can be called is listed with its price, and what cannot with the reason."""

import json
from typing import Any

import pytest

from api.cli.failure import ExitCode
from tests.fakes.api import FakeApi
from tests.unit.cli.conftest import Overnight

PRICE = {"input_usd": "1.25", "cache_read_usd": "0.125", "output_usd": "10"}


def offer(model: str, **changes: Any) -> dict[str, Any]:
    made = {
        "model": model,
        "provider": model.split("/", maxsplit=1)[0],
        "key": "byok",
        "price": PRICE,
    }
    return made | {"via": None, "context_tokens": 400_000} | changes


FOUND = {
    "data": [
        offer("openai/gpt-5.2"),
        offer("cohere/command-a", via="openrouter", price=None, context_tokens=None),
    ],
    "providers": [
        {"provider": "openai", "key": "byok", "state": "open", "reason": None},
        {"provider": "groq", "key": None, "state": None, "reason": "there is no key: PUT …"},
        {"provider": "zai", "key": None, "state": None, "reason": "there is no key: PUT …"},
        {"provider": "xai", "key": "byok", "state": "parked", "reason": "refused the key: 401"},
    ],
}


def test_models_are_listed_with_price_context_and_whose_key_it_is(
    overnight: Overnight, api: FakeApi, capsys: pytest.CaptureFixture[str]
) -> None:
    api.answer("GET /v1/models", FOUND)
    assert overnight("models") == ExitCode.DONE
    shown = capsys.readouterr()
    first, second = (line.split() for line in shown.out.splitlines() if "/" in line)
    assert first == ["openai/gpt-5.2", "400,000", "$1.25", "$0.125", "$10", "yours"]
    assert second == ["cohere/command-a", *["–"] * 4, "openrouter's"]  # noqa: RUF001
    assert shown.err.splitlines() == [
        "xai: refused the key: 401",
        "no key for groq, zai: `overnight keys set groq`",
    ]


def test_they_can_be_searched(
    overnight: Overnight, api: FakeApi, capsys: pytest.CaptureFixture[str]
) -> None:
    api.answer("GET /v1/models", FOUND)
    assert overnight("models", "GPT", "--json") == ExitCode.DONE
    assert [one["model"] for one in json.loads(capsys.readouterr().out)["data"]] == [
        "openai/gpt-5.2"
    ]
    assert overnight("models", "groq/") == ExitCode.DONE
    assert capsys.readouterr().err == "no key for groq: `overnight keys set groq`\n"
