"""The body of a submission, read in two halves: jobs by the line, and everything else at once."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec
from pydantic import ValidationError
from pydantic_core import ErrorDetails

from api.body import decode
from app.domain.errors import InvalidRequestError, TooLargeError
from app.domain.spec import BatchBody
from app.pipeline.lines import RawLine

SUBMIT_BYTES_MAX = 50 * 1024 * 1024
#: Everything but the jobs.
SETTINGS_BYTES_MAX = 1024 * 1024
DEPTH_MAX = 64

#: What is documented and not honoured yet.
_LATER_SCORING = "pairwise"
#: What pydantic adds to the path of a field that may be one of several shapes.
_SHAPES = frozenset({"ModelSpec", "constrained-str"})
_NULL = b"null"


@dataclass(frozen=True, slots=True)
class ParsedSubmission:
    """What was submitted. `lines` is None where they are in the body's input file."""

    body: BatchBody
    lines: Iterator[RawLine] | None


def read_submission(data: bytes | bytearray) -> ParsedSubmission:
    """Read a submission; each job only when its line is asked for.

    Raises:
        InvalidRequestError: naming the field at fault.
        TooLargeError: what is beside the jobs is over its limit.
    """
    fields = decode(data, dict[str, msgspec.Raw])
    jobs = fields.pop("jobs", None)
    settings = _settings_of(fields)
    body = _validated(msgspec.json.encode({name: fields[name] for name in settings}))
    if jobs is None or bytes(memoryview(jobs)[: len(_NULL)]) == _NULL:
        if body.input_file_id is None:
            raise InvalidRequestError("jobs: give jobs, or an input_file_id", param="jobs")
        return ParsedSubmission(body, None)
    if body.input_file_id is not None:
        raise InvalidRequestError(
            "jobs: give either jobs or an input_file_id, not both", param="jobs"
        )
    return ParsedSubmission(body, _lines(decode(jobs, list[msgspec.Raw], "jobs")))


def _lines(jobs: list[msgspec.Raw]) -> Iterator[RawLine]:
    return (RawLine(f"jobs[{index}]", raw) for index, raw in enumerate(jobs))


def _settings_of(fields: Mapping[str, msgspec.Raw]) -> dict[str, Any]:
    """Everything but the jobs."""
    size = sum(len(memoryview(raw)) for raw in fields.values())
    if size > SETTINGS_BYTES_MAX:
        raise TooLargeError(f"what is beside the jobs has at most {SETTINGS_BYTES_MAX:,} bytes")
    settings = {name: decode(raw, object, name) for name, raw in fields.items()}
    for name, value in settings.items():
        _check_value(name, value)
    _refuse_later(settings)
    return settings


def _refuse_later(settings: Mapping[str, Any]) -> None:
    """A field that is not honoured yet is refused, never ignored."""
    judge = settings.get("judge")
    if isinstance(judge, dict) and judge.get("scoring") == _LATER_SCORING:
        raise _not_yet("judge.scoring", f"{_LATER_SCORING} is")


def _not_yet(param: str, what: str) -> InvalidRequestError:
    return InvalidRequestError(f"{param}: {what} not supported yet", param=param)


def _check_value(path: str, value: object) -> None:
    """Refuse what JSON can say and a store cannot keep, at any depth.

    Raises:
        InvalidRequestError: naming the field.
    """
    waiting: list[tuple[str, object, int]] = [(path, value, 1)]
    while waiting:
        where, one, depth = waiting.pop()
        if depth > DEPTH_MAX:
            raise InvalidRequestError(f"{path}: is nested too deeply", param=path)
        if isinstance(one, str) and "\x00" in one:
            raise InvalidRequestError(f"{where}: text must not hold NUL characters", param=where)
        waiting += [(*inner, depth + 1) for inner in _inside(where, one)]


def _inside(where: str, value: object) -> Iterator[tuple[str, object]]:
    if isinstance(value, list):
        yield from ((f"{where}[{index}]", one) for index, one in enumerate(value))
    elif isinstance(value, dict):
        yield from ((f"{where}.{name}", one) for name, one in value.items())
        yield from ((where, name) for name in value)


def _validated(settings: bytes) -> BatchBody:
    try:
        return BatchBody.model_validate_json(settings)
    except ValidationError as error:
        problems = error.errors(include_url=False, include_context=False, include_input=False)
        raise _in_words(problems) from None


def _in_words(problems: list[ErrorDetails]) -> InvalidRequestError:
    """One problem, in one sentence: of a field of several shapes, the nearest one's."""
    field = problems[0]["loc"][:1]
    same = [problem for problem in problems if problem["loc"][:1] == field]
    worst = max(same, key=lambda problem: len(problem["loc"]))
    param = _path_of(worst["loc"])
    say = _WORDS.get(worst["type"], _as_it_is)
    message = say(worst["msg"])
    return InvalidRequestError(f"{param}: {message}" if param else message, param=param or None)


def _path_of(loc: tuple[int | str, ...]) -> str:
    """`judge.judges[0].model`, of a path as pydantic has it."""
    path = ""
    for part in loc:
        if isinstance(part, int):
            path += f"[{part}]"
        elif part not in _SHAPES:
            path += f".{part}"
    return path.removeprefix(".")


def _as_it_is(message: str) -> str:
    return message[:1].lower() + message[1:]


_WORDS: dict[str, Callable[[str], str]] = {
    "extra_forbidden": lambda _: "is not a field here",
    "missing": lambda _: "is required",
    "model_type": lambda _: "should be an object",
}
