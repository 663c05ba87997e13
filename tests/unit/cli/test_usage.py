"""`overnight usage` shows what was used, and never an unknown cost as nothing."""

from datetime import date, timedelta
from typing import Any

import pytest

from tests.fakes.api import FakeApi
from tests.unit.cli.conftest import Overnight


def row(**changes: Any) -> dict[str, Any]:
    return {
        "day": None, "provider": "openai", "model": "gpt-5.2", "mode": None, "role": None,
        "billed": "byok", "calls": 1200, "failed": 3, "input_tokens": 5000, "output_tokens": 700,
        "cost_nanos": 2_000_000_000, "unpriced": 0, "latency_p50_ms": 800, "latency_p95_ms": 2500,
        "simulated_calls": 0,
    } | changes  # fmt: skip


def test_usage_is_shown_by_what_was_asked(
    overnight: Overnight, api: FakeApi, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [row(), row(provider="custom:box", model="one", cost_nanos=0, unpriced=4)]
    totals = [row(unpriced=4), row(billed="credits", simulated_calls=1)]
    api.answer("GET /v1/usage", {"group_by": ["provider", "model"], "data": rows, "totals": totals})
    assert overnight("usage", "--days", "7", "--by", "provider,model") == 0
    query = api.journal[-1].url.params
    days = date.fromisoformat(query["to"]) - date.fromisoformat(query["from"])
    assert days == timedelta(days=6)
    out = capsys.readouterr().out
    for words in (
        "gpt-5.2", "1,200", "$2", "4 of unknown cost", "byok: 1,200 calls, $2.00 and 4 of unknown cost",
        "credits: 1,200 calls, $2.00", "Simulated models took part",
    ):  # fmt: skip
        assert words in out
