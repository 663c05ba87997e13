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
    (("--blend", "consensus", "--contribution"),
     {"mode": "blend", "blend": {"strategy": "consensus", "contribution": True}}),
    (("--judge", "j/a", "--judge", "j/b", "--scoring", "pairwise", "--pairs", "4", "--canary"),
     {"mode": "judge", "judge": {"judges": ["j/a", "j/b"], "scoring": "pairwise", "pairs": 4, "canary": True}}),
    (("--judge", "j/a", "--judge", "j/b", "--escalate-below", "1.5", "--allow-self"),
     {"mode": "judge", "judge": {"judges": ["j/a", "j/b"], "escalate_below": 1.5, "allow_self": True}}),
    (("--check", "exact", "--check", "contains=a=b", "--check", "number=4.5",
      "--check", 'json_schema={"type": "object"}',
      "--check", '{"kind": "regex", "value": "^A", "ignore_case": true}'),
     {"mode": "judge", "judge": {"checks": [
         {"kind": "exact"}, {"kind": "contains", "value": "a=b"}, {"kind": "number", "value": 4.5},
         {"kind": "json_schema", "value": {"type": "object"}},
         {"kind": "regex", "value": "^A", "ignore_case": True}]}}),
    (("--reference", "Two."), {"jobs": [{"prompt": "One?", "reference": "Two."}]}),
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


@pytest.mark.parametrize(
    "words",
    [("--reference", "a", "--reference", "b"), ("--check", "number=four"), ("--check", "{")],
    ids=" ".join,
)
def test_what_cannot_be_meant_is_a_usage_error(
    overnight: Overnight, api: FakeApi, words: tuple[str, ...]
) -> None:
    assert overnight("submit", "--model", "a/b", "--prompt", "One?", *words) == ExitCode.USAGE
    assert api.journal == []
