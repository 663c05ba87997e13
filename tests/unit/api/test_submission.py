"""What a submission's body may hold, and what is said of one that may not."""

from typing import Any

import msgspec
import pytest

from api.errors import MalformedBodyError
from api.v1.submission import DEPTH_MAX, SETTINGS_BYTES_MAX, ParsedSubmission, read_submission
from app.domain.errors import InvalidRequestError, TooLargeError

BODY: dict[str, Any] = {"mode": "chat", "models": ["simulated/gold"], "jobs": [{"prompt": "a"}]}


def read(**fields: Any) -> ParsedSubmission:
    return read_submission(msgspec.json.encode(BODY | fields))


def read_with(field: str, value: bytes) -> ParsedSubmission:
    """A good body with a field of exactly these bytes."""
    raws = {name: msgspec.Raw(msgspec.json.encode(one)) for name, one in BODY.items()}
    return read_submission(msgspec.json.encode(raws | {field: msgspec.Raw(value)}))


def refusal(**fields: Any) -> InvalidRequestError:
    with pytest.raises(InvalidRequestError) as caught:
        read(**fields)
    return caught.value


def test_jobs_are_lines_that_are_not_read_yet() -> None:
    parsed = read(jobs=[{"prompt": "a"}, {"nonsense": 1}])
    assert parsed.lines is not None
    lines = list(parsed.lines)
    assert [line.where for line in lines] == ["jobs[0]", "jobs[1]"]
    assert bytes(memoryview(lines[0].body)) == b'{"prompt":"a"}'


def test_with_an_input_file_there_are_no_lines() -> None:
    parsed = read(jobs=None, input_file_id="file_x")
    assert parsed.lines is None
    assert parsed.body.input_file_id == "file_x"


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"jobs": None}, "jobs"),
        ({"jobs": {}}, "jobs"),
        ({"jobs": "null"}, "jobs"),
        ({"input_file_id": "file_x"}, "jobs"),
        ({"models": []}, "models"),
        ({"models": ["a/b"] * 65}, "models"),
        ({"models": [5]}, "models[0]"),
        ({"models": ["simulated/gold", {"model": "x"}]}, "models[1].model"),
        ({"models": [{"model": "a/b", "labl": "x"}]}, "models[0].labl"),
        ({"judge": {"judges": [{"model": "a/b", "params": 1}]}}, "judge.judges[0].params"),
        ({"repeats": 0}, "repeats"),
        ({"mode": "chta"}, "mode"),
        ({"account_id": "acct_x"}, "account_id"),
        ({"metadata": {"k": 1}}, "metadata.k"),
        ({"webhook": "https://x.example"}, "webhook"),
        ({"sample": 0}, "sample"),
        ({"sample": 1_000_001}, "sample"),
        ({"sample": "20"}, "sample"),
        ({"sample": True}, "sample"),
        ({"stop_if_failed_percent": 0}, "stop_if_failed_percent"),
        ({"stop_if_failed_percent": 100}, "stop_if_failed_percent"),
        ({"stop_if_failed_percent": 12.5}, "stop_if_failed_percent"),
        ({"cache": 0}, "cache"),
        ({"cache": "yes"}, "cache"),
    ],
)
def test_i15_the_field_at_fault_is_named(fields: dict[str, Any], param: str) -> None:
    error = refusal(**fields)
    assert error.param == param
    assert error.message.startswith(f"{param}: ")


def test_a_field_that_is_missing_or_not_known_is_said_plainly() -> None:
    assert refusal(modee="chat").message == "modee: is not a field here"
    with pytest.raises(InvalidRequestError, match="^mode: is required$"):
        read_submission(b'{"models": ["a/b"], "jobs": []}')


@pytest.mark.parametrize(
    "fields",
    [
        {"name": "CANARY-value" * 20},
        {"mode": "CANARY-value"},
        {"webhook": {"url": "https://x.example", "secret": "CANARY" * 100}},
        {"webhook": {"secret": "CANARY"}},
        {"not_before": "CANARY"},
        {"params": {"CANARY": 1}, "modee": 1},
    ],
)
def test_k3_what_was_sent_is_not_repeated(fields: dict[str, Any]) -> None:
    assert "CANARY" not in refusal(**fields).message


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"judge": {"judges": ["simulated/judge"], "scoring": "pairwise"}}, "judge.scoring"),
    ],
)
def test_what_is_not_honoured_yet_is_refused_and_never_ignored(
    fields: dict[str, Any], param: str
) -> None:
    error = refusal(**fields)
    assert error.param == param
    assert error.message.endswith("not supported yet")


def test_what_is_not_honoured_yet_may_be_asked_not_to_be() -> None:
    nothing = dict.fromkeys(("blend", "mesh", "sample", "stop_if_failed_percent", "template"))
    assert read(cache=False, retention="keep", input_file_id=None, **nothing).lines is not None


@pytest.mark.parametrize("number", [b"NaN", b"Infinity", b"-Infinity"])
def test_i1_what_is_no_number_in_json_is_malformed(number: bytes) -> None:
    with pytest.raises(MalformedBodyError):
        read_with("budget_usd", number)


@pytest.mark.parametrize("field", ["budget_usd", "params"])
def test_i1_a_number_beyond_all_bounds_is_refused(field: str) -> None:
    value = b"1e999" if field == "budget_usd" else b'{"extra": {"x": 1e999}}'
    with pytest.raises(InvalidRequestError) as caught:
        read_with(field, value)
    assert (caught.value.param or "").startswith(field)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", b'"a\\u0000b"'),
        ("metadata", b'{"k": "\\u0000"}'),
        ("metadata", b'{"\\u0000": "v"}'),
        ("params", b'{"extra": {"a": [{"b": "\\u0000"}]}}'),
        ("models", b'[{"model": "a/b", "label": "\\u0000"}]'),
    ],
)
def test_i2_a_nul_is_refused_wherever_it_is(field: str, value: bytes) -> None:
    with pytest.raises(InvalidRequestError, match="NUL") as caught:
        read_with(field, value)
    assert (caught.value.param or "").startswith(field)


@pytest.mark.parametrize("text", [b'"\\ud800"', b'"\\udc00x"', b'"\\ud83d\\u0041"'])
def test_i3_half_a_surrogate_pair_is_malformed(text: bytes) -> None:
    with pytest.raises(MalformedBodyError):
        read_with("name", text)


@pytest.mark.parametrize("number", [b"9" * 5000, b"9223372036854775808", b"-1", b"true", b'"7"'])
@pytest.mark.parametrize("field", ["repeats", "priority"])
def test_i4_an_integer_is_an_integer_within_bounds(field: str, number: bytes) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        read_with(field, number)
    assert caught.value.param == field


@pytest.mark.parametrize("depth", [DEPTH_MAX + 1, 900, 10_000, 100_000])
def test_i5_deep_nesting_is_refused(depth: int) -> None:
    with pytest.raises(InvalidRequestError, match="nested too deeply"):
        read_with("params", b'{"extra": ' + b"[" * depth + b"]" * depth + b"}")


def test_i6_of_a_name_given_twice_the_last_counts() -> None:
    parsed = read_submission(
        b'{"mode": "judge", "models": ["a/b"], "jobs": [], "jobs": [1], "mode": "chat"}'
    )
    assert parsed.body.mode == "chat"
    assert len(list(parsed.lines or ())) == 1


@pytest.mark.parametrize("body", [b"", b"[]", b"null", b"5", b'"x"', b"{", b"{} {}", b"\xff"])
def test_a_body_that_is_no_object_is_refused(body: bytes) -> None:
    with pytest.raises(InvalidRequestError):
        read_submission(body)


def test_what_is_beside_the_jobs_is_bounded() -> None:
    with pytest.raises(TooLargeError):
        read(name="x" * SETTINGS_BYTES_MAX)
