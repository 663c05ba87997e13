"""Checks that need no model: what an answer must be, contain, match or come to.

They are declarations, and a hostile answer cannot make one run for long: patterns have a time
limit, beyond which they count as not found, and schemas may fetch nothing.
"""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from math import isfinite
from typing import Any

from app.domain.checks import Check
from app.domain.errors import InvalidRequestError

CHECKS_MAX = 16
PATTERN_CHARS_MAX = 1_000
SCHEMA_CHARS_MAX = 20_000
#: Longer answers are checked by their beginning; no pattern or schema needs more.
ANSWER_CHARS_MAX = 1_000_000
REGEX_TIMEOUT_S = 0.1
_NUMBER_MAX = 1e300

_NUMBER = re.compile(
    r"(?:(?<!\d)[-+])?(?:(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?|\.\d+)(?:[eE][-+]?\d{1,3})?"
)
_ELSEWHERE = re.compile(r'"\$(?:ref|dynamicRef)": "(?!#)')
_FENCE = re.compile(r"```(?:json)?\s*\n(.*?)\n\s*```", re.DOTALL)


def check_checks(checks: Sequence[Check]) -> None:
    """Refuse checks that could not be run.

    Raises:
        InvalidRequestError: with the check at fault in `param`.
    """
    if len(checks) > CHECKS_MAX:
        raise _invalid("judge.checks", f"there may be at most {CHECKS_MAX}")
    names = set[str]()
    for place, check in enumerate(checks):
        where = f"judge.checks[{place}]"
        if check.name in names:
            raise _invalid(f"{where}.name", f"{check.name!r} is the name of another check")
        names.add(check.name)
        if problem := _VALUES[check.kind](check.value):
            raise _invalid(f"{where}.value", problem)
        if not (isfinite(check.tolerance) and check.tolerance >= 0):
            raise _invalid(f"{where}.tolerance", "it is 0 or more")
        if check.tolerance and check.kind != "number":
            raise _invalid(f"{where}.tolerance", "it is for the kind number")
        if check.ignore_case and check.kind not in ("exact", "contains", "regex"):
            raise _invalid(f"{where}.ignore_case", "it is for exact, contains and regex")


def run_checks(checks: Sequence[Check], answer: str, reference: str | None) -> dict[str, bool]:
    """Which checks an answer passes, by name; one that has nothing to go by is left out."""
    text = answer[:ANSWER_CHARS_MAX]
    passed = {}
    for check in checks:
        wanted = reference if check.value is None else check.value
        if wanted is not None:
            passed[check.name] = _RUN[check.kind](check, wanted, text)
    return passed


def share_passed(passed: Mapping[str, bool]) -> float:
    """The share of the checks that were passed; 1 where there was none."""
    return sum(passed.values()) / len(passed) if passed else 1.0


def _exact(check: Check, wanted: Any, text: str) -> bool:
    return _folded(check, str(wanted).strip()) == _folded(check, text.strip())


def _contains(check: Check, wanted: Any, text: str) -> bool:
    return _folded(check, str(wanted)) in _folded(check, text)


def _folded(check: Check, text: str) -> str:
    return text.casefold() if check.ignore_case else text


def _matches(check: Check, wanted: Any, text: str) -> bool:
    pattern = _compiled(str(wanted), ignore_case=check.ignore_case)
    try:
        return pattern.search(text, timeout=REGEX_TIMEOUT_S) is not None
    except TimeoutError:
        return False


@lru_cache(maxsize=256)
def _compiled(pattern: str, *, ignore_case: bool) -> Any:
    import regex  # noqa: PLC0415 - only needed where there is such a check

    return regex.compile(pattern, regex.IGNORECASE if ignore_case else 0)


def _fits(_: Check, wanted: Any, text: str) -> bool:
    from referencing.exceptions import Unresolvable  # noqa: PLC0415 - heavy, as below

    fenced = _FENCE.search(text)
    try:
        value = json.loads(fenced[1] if fenced else text)
        return bool(_validator(json.dumps(wanted)).is_valid(value))
    except (ValueError, RecursionError, Unresolvable):
        return False


@lru_cache(maxsize=64)
def _validator(schema: str) -> Any:
    # Heavy, and only needed where there is such a check.
    import jsonschema  # noqa: PLC0415
    from referencing import Registry  # noqa: PLC0415

    def pattern(_: Any, wanted: str, instance: Any, __: Any) -> Any:
        if isinstance(instance, str) and not _matches(_PATTERN, wanted, instance):
            yield jsonschema.ValidationError("it does not match the pattern")

    kind = jsonschema.validators.extend(jsonschema.Draft202012Validator, {"pattern": pattern})
    # Of its own registry, which fetches nothing.
    return kind(json.loads(schema), registry=Registry())


def _comes_to(check: Check, wanted: Any, text: str) -> bool:
    value, found = _last_number(str(wanted)), _last_number(text)
    if value is None or found is None:
        return False
    # A hair for what floats cannot hold.
    return abs(found - value) <= check.tolerance + 1e-12 * max(abs(value), abs(found))


def _last_number(text: str) -> float | None:
    found = _NUMBER.findall(text)
    value = float(found[-1].replace(",", "")) if found else None
    return value if value is not None and isfinite(value) else None


_PATTERN = Check("regex", "pattern")
_RUN: Mapping[str, Callable[[Check, Any, str], bool]] = {
    "exact": _exact,
    "contains": _contains,
    "regex": _matches,
    "json_schema": _fits,
    "number": _comes_to,
}


def _text_or_none(value: Any) -> str | None:
    return None if value is None or (isinstance(value, str) and value) else "give a text"


def _pattern_problem(value: Any) -> str | None:
    if not isinstance(value, str) or not value:
        return "give a regular expression"
    if len(value) > PATTERN_CHARS_MAX:
        return f"a pattern has at most {PATTERN_CHARS_MAX} characters"
    import regex  # noqa: PLC0415 - as above

    try:
        regex.compile(value)
    except (regex.error, OverflowError, RecursionError) as error:
        return f"it is no regular expression ({error})"
    return None


def _schema_problem(value: Any) -> str | None:
    if not isinstance(value, dict):
        return "give a JSON schema"
    # Heavy, and only needed where there is such a check.
    import jsonschema  # noqa: PLC0415

    try:
        if problem := _text_problem(json.dumps(value)):
            return problem
        jsonschema.Draft202012Validator.check_schema(value)
    except jsonschema.SchemaError as error:
        return f"it is no JSON schema ({error.message[:200]})"
    except RecursionError:
        return "it is nested too deeply"
    return None


def _text_problem(schema: str) -> str | None:
    if len(schema) > SCHEMA_CHARS_MAX:
        return f"a schema has at most {SCHEMA_CHARS_MAX} characters"
    if '"patternProperties"' in schema:
        return "patternProperties is not taken, for it has no time limit"
    return "it refers to what is not in it" if _ELSEWHERE.search(schema) else None


def _number_problem(value: Any) -> str | None:
    if value is None:
        return None
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return None if is_number and abs(value) <= _NUMBER_MAX else "give a number"


_VALUES: Mapping[str, Callable[[Any], str | None]] = {
    "exact": _text_or_none,
    "contains": _text_or_none,
    "regex": _pattern_problem,
    "json_schema": _schema_problem,
    "number": _number_problem,
}


def _invalid(param: str, problem: str) -> InvalidRequestError:
    return InvalidRequestError(f"{param}: {problem}", param=param)
