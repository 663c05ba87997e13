"""A gate holds or it does not; what is not known never passes."""

from typing import Any

import pytest

from api.cli.failure import ExitCode, Failure
from api.cli.gate import passes
from tests.fakes.api import FakeApi
from tests.unit.cli.conftest import Overnight


def entry(label: str, score: float | None, share: float | None, **changes: Any) -> dict[str, Any]:
    return {
        "label": label,
        "rank": 1,
        "answered": 40,
        "refused": 0,
        "failed": 2,
        "missing": 0,
        "coverage": 0.95,
        "score": None if score is None else {"value": score},
        "win_share": None if share is None else {"value": share},
        "latency_p50_ms": 400,
        "latency_p95_ms": 900,
        "cost_nanos": 2_500_000_000,
        "cost_per_answer_nanos": None,
    } | changes


REPORT = {"leaderboard": [entry("a", 8.5, 0.75), entry("openai/gpt-5.2", None, None)]}


@pytest.mark.parametrize(
    ("gate", "holds"),
    [
        ("win_rate(a)>0.5", True),
        ("win_rate(a) > 0.75", False),
        ("score(a) >= 8.5 and failed(a) <= 2", True),
        ("score(a) < 8 or cost_usd(a) == 2.5", True),
        ("not score(a) < 8", True),
        ("score(a) > 9 or score(a) > 8 and failed(a) == 0", False),
        ("(score(a) > 9 or score(a) > 8) and failed(a) != 0", True),
        ("answered(openai/gpt-5.2) == 40", True),
        ('answered("openai/gpt-5.2") > 39.5', True),
        ("p95_ms('a') < p50_ms(a)", False),
        ("-1 < rank(a)", True),
    ],
)
def test_a_gate_is_decided(gate: str, holds: bool) -> None:  # noqa: FBT001
    assert passes(gate, REPORT) is holds


@pytest.mark.parametrize(
    ("gate", "code", "said"),
    [
        ("score(openai/gpt-5.2) > 1", ExitCode.FAILED, "is not known"),
        ("not score(openai/gpt-5.2) > 1", ExitCode.FAILED, "is not known"),
        ("score(a) > 1 or cost_per_answer_usd(a) < 1", ExitCode.FAILED, "is not known"),
        ("score(b) > 1", ExitCode.USAGE, "there is no label 'b'; there are a, openai/gpt-5.2"),
        ("speed(a) > 1", ExitCode.USAGE, "'speed' is no measure"),
        ("score(a) ~ 1", ExitCode.USAGE, "'~' is no comparison"),
        ("score(a) > ", ExitCode.USAGE, "it ends too early"),
        ("(score(a) > 1", ExitCode.USAGE, "')' is missing before 'the end'"),
        ("score(a) > 1 2", ExitCode.USAGE, "'2' is more than can be read"),
        ("__import__('os').system('x') > 1", ExitCode.USAGE, "is no measure"),
        ("", ExitCode.USAGE, "it ends too early"),
        ("'", ExitCode.USAGE, "cannot be read"),
    ],
)
def test_what_cannot_be_decided_does_not_pass(gate: str, code: ExitCode, said: str) -> None:
    with pytest.raises(Failure) as caught:
        passes(gate, REPORT)
    assert caught.value.code == code
    assert said in caught.value.message


@pytest.mark.parametrize(("gate", "code"), [("score(a) > 8", 0), ("score(a) > 9", 1)])
def test_a_build_can_fail_by_a_report(
    overnight: Overnight, api: FakeApi, gate: str, code: int
) -> None:
    api.answer("GET /v1/batches/batch_1/report", REPORT)
    assert overnight("report", "batch_1", "--json", "--gate", gate) == code
