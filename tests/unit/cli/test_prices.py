"""Prices from the command line: one is set among the others."""

import pytest

from api.cli.failure import ExitCode
from tests.fakes.api import FakeApi
from tests.unit.cli.conftest import Overnight

PATH = "/v1/settings/prices"
KNOWN = {
    "model": "openai/gpt-4o",
    "billed": "byok",
    "input_usd": "1.00",
    "cache_read_usd": None,
    "output_usd": "2.00",
}


@pytest.fixture(autouse=True)
def known(api: FakeApi) -> None:
    operators = KNOWN | {"model": "groq/x", "billed": "credits"}
    api.answer(f"GET {PATH}", {"data": [KNOWN, operators]})
    api.answer(f"PUT {PATH}", {"data": [KNOWN]})


def sent(api: FakeApi) -> list[str]:
    return [one["model"] for one in api.body()["prices"]]


def test_a_price_is_set_beside_the_others(overnight: Overnight, api: FakeApi) -> None:
    words = ("prices", "set", "custom:local/any", "--input", "0.05", "--output", "0.2")
    assert overnight(*words) == ExitCode.DONE
    assert sent(api) == ["openai/gpt-4o", "custom:local/any"]
    assert api.body()["prices"][1]["input_usd"] == "0.05"
    assert "billed" not in api.body()["prices"][0]


def test_a_price_takes_the_place_of_the_one_before(overnight: Overnight, api: FakeApi) -> None:
    words = ("prices", "set", "openai/gpt-4o", "--input", "3", "--output", "4")
    assert overnight(*words) == ExitCode.DONE
    assert [(one["model"], one["input_usd"]) for one in api.body()["prices"]] == [
        ("openai/gpt-4o", "3")
    ]


def test_a_price_is_removed(overnight: Overnight, api: FakeApi) -> None:
    assert overnight("prices", "remove", "openai/gpt-4o") == ExitCode.DONE
    assert sent(api) == []
    assert overnight("prices", "remove", "openai/none") == ExitCode.USAGE


def test_prices_are_listed(overnight: Overnight, capsys: pytest.CaptureFixture[str]) -> None:
    assert overnight("prices", "list") == ExitCode.DONE
    assert "credits" in capsys.readouterr().out
