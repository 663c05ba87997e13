"""Credits are typed exactly, in dollars or in credits."""

import pytest

from api.cli.credits import amount_nanos
from api.cli.failure import ExitCode, Failure
from tests.fakes.api import FakeApi
from tests.unit.cli.conftest import Overnight


@pytest.mark.parametrize(
    ("usd", "credits_", "nanos"),
    [("5", None, 5_000_000_000), ("0.01", None, 10_000_000), (None, "1", 10_000_000)],
)
def test_an_amount_is_exact(usd: str | None, credits_: str | None, nanos: int) -> None:
    assert amount_nanos(usd, credits_) == nanos


@pytest.mark.parametrize(
    ("usd", "credits_"),
    [(None, None), ("1", "1"), ("-1", None), ("0", None), ("nan", None), (None, "many")],
)
def test_anything_else_is_a_usage_error(usd: str | None, credits_: str | None) -> None:
    with pytest.raises(Failure) as caught:
        amount_nanos(usd, credits_)
    assert caught.value.code == ExitCode.USAGE


def test_the_balance_is_shown(
    overnight: Overnight, api: FakeApi, capsys: pytest.CaptureFixture[str]
) -> None:
    balance = {"granted": 5, "available": 3, "held": 1, "spent": 2, "overrun": 1}
    api.answer("GET /v1/credits", {f"{name}_nanos": n * 10**9 for name, n in balance.items()})
    assert overnight("credits", "show") == ExitCode.DONE
    assert "$5.00" in capsys.readouterr().out
