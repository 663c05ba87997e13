"""`submit` and `estimate` take the same flags, and every one reaches the API as its field."""

from typing import Any

import pytest

from api.cli.failure import ExitCode
from app.domain.spec import BatchBody
from tests.fakes.api import FakeApi, batch_view
from tests.unit.cli.conftest import Overnight

CASES: list[tuple[tuple[str, ...], dict[str, Any]]] = [
    (("--sample", "20"), {"sample": 20}),
    (("--stop-if-failed", "30"), {"stop_if_failed_percent": 30}),
    (("--cache",), {"cache": True}),
    (("--at-most-once",), {"at_most_once": True}),
    (("--not-before", "2026-12-01T22:00:00+01:00"), {"not_before": "2026-12-01T22:00:00+01:00"}),
    (("--deadline", "7d"), {"deadline": "7d"}),
    (("--deadline", "none"), {"deadline": None}),
    (("--priority", "9"), {"priority": 9}),
    (("--unpriced", "allow"), {"unpriced": "allow"}),
    (("--metadata", "team=search", "--metadata", "k=a=b"), {"metadata": {"team": "search", "k": "a=b"}}),
    (("--blend", "moa", "--layers", "2"), {"mode": "blend", "blend": {"strategy": "moa", "layers": 2}}),
    (("--blend", "self_moa", "--samples", "4", "--min-candidates", "3"),
     {"mode": "blend", "blend": {"strategy": "self_moa", "samples": 4, "min_candidates": 3}}),
    (("--fallback", "c/d", "--mesh-strategy", "cost"),
     {"mode": "mesh", "mesh": {"fallback": ["c/d"], "strategy": "cost"}}),
]  # fmt: skip


@pytest.mark.parametrize(("words", "fields"), CASES, ids=lambda case: " ".join(map(str, case)))
@pytest.mark.parametrize("command", ["submit", "estimate"])
def test_a_flag_is_a_field(
    overnight: Overnight, api: FakeApi, command: str, words: tuple[str, ...], fields: dict[str, Any]
) -> None:
    api.answer("POST /v1/batches", batch_view(), status=201)
    api.refuse("POST /v1/batches/estimate", 422, "seen")
    overnight(command, "--model", "a/b", "--prompt", "One?", *words)
    expected = {"mode": "chat", "models": ["a/b"], "jobs": [{"prompt": "One?"}]} | fields
    assert api.body() == expected
    named = {name: value for name, value in expected.items() if name != "jobs"}
    BatchBody.model_validate(named | ({"not_before": None} if "not_before" in named else {}))


@pytest.mark.parametrize("pair", ["nothing", "=value"])
def test_metadata_that_is_no_pair_is_a_usage_error(
    overnight: Overnight, api: FakeApi, pair: str
) -> None:
    words = ("submit", "--model", "a/b", "--prompt", "One?", "--metadata", pair)
    assert overnight(*words) == ExitCode.USAGE
    assert api.journal == []
