"""Checks that need no model tell right from wrong, and nothing can make one run for long."""

import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.checks import Check
from app.domain.errors import InvalidRequestError
from app.modes.judge_checks import REGEX_TIMEOUT_S, check_checks, run_checks, share_passed

SCHEMA = {
    "type": "object",
    "required": ["age"],
    "properties": {"age": {"type": "integer"}, "name": {"type": "string", "pattern": "^[A-Z]"}},
}


def passes(check: Check, answer: str, reference: str | None = None) -> bool:
    [passed] = run_checks([check], answer, reference).values()
    return passed


@pytest.mark.parametrize(
    ("kind", "value", "answer", "passed"),
    [
        ("exact", "Paris", " Paris\n", True),
        ("exact", "Paris", "paris", False),
        ("exact", "Paris", "Paris.", False),
        ("contains", "Paris", "It is Paris.", True),
        ("contains", "Paris", "It is Rome.", False),
        ("regex", r"\b\d{4}\b", "In 1789.", True),
        ("regex", r"^\d{4}$", "In 1789.", False),
        ("json_schema", SCHEMA, '{"age": 4}', True),
        ("json_schema", SCHEMA, 'Here:\n```json\n{"age": 4, "name": "Ann"}\n```\nDone.', True),
        ("json_schema", SCHEMA, '{"age": 4, "name": "ann"}', False),
        ("json_schema", SCHEMA, '{"age": "4"}', False),
        ("json_schema", SCHEMA, "age is 4", False),
        ("json_schema", {"$ref": "#/nowhere"}, "{}", False),
        ("number", 42, "So it is 42.", True),
        ("number", 42, "First 42, then 43", False),
        ("number", 1234.5, "about $1,234.50", True),
        ("number", -3, "x = -3", True),
        ("number", 3, "between 1-3", True),
        ("number", 2e6, "2e6", True),
        ("number", 1, "1e999", False),
        ("number", 42, "no idea", False),
    ],
)
def test_an_answer_passes_or_it_does_not(kind: Any, value: Any, answer: str, *, passed: bool):
    assert passes(Check(kind, "c", value), answer) is passed


def test_a_number_may_be_off_by_its_tolerance():
    check = Check("number", "c", 100, tolerance=0.5)
    assert passes(check, "100.5")
    assert not passes(check, "100.51")


@pytest.mark.parametrize("kind", ["exact", "contains", "regex"])
def test_case_can_be_ignored(kind: Any):
    assert passes(Check(kind, "c", "PARIS", ignore_case=True), "paris")


@pytest.mark.parametrize("kind", ["exact", "contains", "number"])
def test_without_a_value_the_reference_is_it_and_without_both_nothing_is_checked(kind: Any):
    assert passes(Check(kind, "c"), "7", "7")
    assert not passes(Check(kind, "c"), "8", "7")
    assert run_checks([Check(kind, "c")], "8", None) == {}


def test_a_pattern_that_would_run_for_ever_counts_as_not_found():
    started = time.monotonic()
    assert not passes(Check("regex", "c", r"(a|aa)+$"), "a" * 60 + "!")
    schema = {"type": "string", "pattern": "^(a|aa)+$"}
    assert not passes(Check("json_schema", "c", schema), '"' + "a" * 60 + '!"')
    assert time.monotonic() - started < 100 * REGEX_TIMEOUT_S


@given(st.text(max_size=200))
def test_no_answer_breaks_a_check(answer: str):
    checks = [
        Check("exact", "a", "x"),
        Check("contains", "b", "x"),
        Check("regex", "c", "x+"),
        Check("json_schema", "d", SCHEMA),
        Check("number", "e", 1),
    ]
    assert set(run_checks(checks, answer, None)) == set("abcde")


def test_deeply_nested_json_is_no_answer():
    assert not passes(Check("json_schema", "c", SCHEMA), "[" * 100_000)


@pytest.mark.parametrize(
    ("check", "param"),
    [
        (Check("regex", "c", "("), "judge.checks[0].value"),
        (Check("regex", "c"), "judge.checks[0].value"),
        (Check("regex", "c", "x" * 1001), "judge.checks[0].value"),
        (Check("json_schema", "c", {"type": "nonsense"}), "judge.checks[0].value"),
        (Check("json_schema", "c", "{}"), "judge.checks[0].value"),
        (Check("json_schema", "c", {"$ref": "https://schema.test/s"}), "judge.checks[0].value"),
        (Check("json_schema", "c", {"patternProperties": {".": {}}}), "judge.checks[0].value"),
        (Check("number", "c", "4"), "judge.checks[0].value"),
        (Check("number", "c", 10**400), "judge.checks[0].value"),
        (Check("number", "c", float("nan")), "judge.checks[0].value"),
        (Check("regex", "c", "(" * 400 + ")" * 400 + "("), "judge.checks[0].value"),
        (Check("number", "c", value=True), "judge.checks[0].value"),
        (Check("number", "c", 4, tolerance=-1), "judge.checks[0].tolerance"),
        (Check("exact", "c", "4", tolerance=1), "judge.checks[0].tolerance"),
        (Check("number", "c", 4, ignore_case=True), "judge.checks[0].ignore_case"),
        (Check("exact", "c", 4), "judge.checks[0].value"),
    ],
)
def test_i15_a_check_that_could_not_be_run_is_refused(check: Check, param: str):
    with pytest.raises(InvalidRequestError) as refused:
        check_checks([check])
    assert refused.value.param == param


def test_i15_two_checks_of_one_name_are_refused():
    with pytest.raises(InvalidRequestError, match="another check"):
        check_checks([Check("exact", "c", "a"), Check("exact", "c", "b")])


def test_the_share_is_of_the_checks_that_were_run():
    assert share_passed({"a": True, "b": False}) == 0.5
    assert share_passed({}) == 1.0
