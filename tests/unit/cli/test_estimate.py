"""`overnight estimate` shows what the API answers, and ends with 1 where something is wrong."""

from typing import Any

import pytest

from api.cli.failure import ExitCode
from tests.fakes.api import FakeApi
from tests.unit.cli.conftest import Overnight


def found(**changes: Any) -> dict[str, Any]:
    spread = {"low": 1_000_000, "expected": 2_000_000, "high": 3_000_000}
    row = {"role": "candidate", "billed": "byok", "calls": 1200, "answers_seen": 0}
    tokens = {"low": 1, "expected": 36000, "high": 90000}
    known = row | {"input_tokens": tokens, "output_tokens": tokens}
    return {
        "jobs": 600,
        "calls": 2400,
        "calls_max": 2400,
        "cost_nanos": spread,
        "cost_is_complete": False,
        "hours": 1.25,
        "slowest": "openai",
        "models": [
            known | {"model": "openai/gpt-5.2", "cost_nanos": spread},
            known | {"model": "custom:box/one", "cost_nanos": None},
        ],
        "problems": [],
        "notes": ["2 jobs ask what another job asks already"],
    } | changes


def test_an_estimate_is_shown(
    overnight: Overnight, api: FakeApi, capsys: pytest.CaptureFixture[str]
) -> None:
    api.answer("POST /v1/batches/estimate", found())
    code = overnight("estimate", "--model", "openai/gpt-5.2", "--prompt", "Why?", "--repeats", "2")
    out = capsys.readouterr().out
    assert code == ExitCode.DONE
    assert api.body(-1)["repeats"] == 2
    for words in (
        "600 jobs, 2,400 calls (at most 2,400); at least $0.002, from $0.001 to $0.003",
        "1.2 h at the limits of openai",
        "unknown",
        "2 jobs ask what another job asks already",
    ):
        assert words in out


def test_a_problem_ends_it_with_1(
    overnight: Overnight, api: FakeApi, capsys: pytest.CaptureFixture[str]
) -> None:
    problem = {"param": "models", "message": "there is no key for 'openai'"}
    api.answer("POST /v1/batches/estimate", found(problems=[problem], hours=0.5))
    assert overnight("estimate", "--model", "openai/x", "--prompt", "Why?") == ExitCode.FAILED
    out = capsys.readouterr().out
    assert "! there is no key for 'openai'" in out
    assert "30 min" in out
