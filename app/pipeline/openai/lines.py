"""The lines of a batch's input file: every one checked, and every fault named with its line."""

from collections.abc import Iterable
from typing import Any

import msgspec

from app.domain.errors import InvalidRequestError, TooLargeError
from app.domain.plan import Plan
from app.pipeline.lines import JOBS_MAX, LINE_BYTES_MAX, RawLine, Spool, check_custom_id
from app.pipeline.openai.asked import Raws
from app.pipeline.openai.plans import Plans
from app.vault.spool import SealedSpool

#: More are not listed: whoever has as many has one kind of fault.
ERRORS_MAX = 100


class LineError(msgspec.Struct, frozen=True):
    """One fault of an input file, as `openai.types.BatchError` has it."""

    code: str
    message: str
    param: str | None = None
    line: int | None = None


class LinesRefusedError(Exception):
    """An input file is not accepted; every fault that was found."""

    def __init__(self, errors: list[LineError]) -> None:
        super().__init__(f"{len(errors)} faults")
        self.errors = errors


class _Line(msgspec.Struct, frozen=True):
    """A line, as far as it is OpenAI's; what is beside that is not read."""

    custom_id: str
    method: str
    url: str
    body: Raws


class _FaultError(Exception):
    def __init__(self, code: str, message: str, param: str | None = None) -> None:
        super().__init__(message)
        self.code, self.message, self.param = code, message, param


_DECODER = msgspec.json.Decoder(_Line)


def read_lines(
    lines: Iterable[RawLine], endpoint: str, plans: Plans, *, is_sealed: bool = False
) -> Spool:
    """Check every line, and keep what is to be stored, sealed where it touches the disk if told.

    Raises:
        LinesRefusedError: one or more are wrong, or there is none.
    """
    spool = Spool(SealedSpool()) if is_sealed else Spool()
    seen, errors = dict[str, str](), list[LineError]()
    try:
        try:
            for line in lines:
                fault = _add(spool, seen, line, (endpoint, plans))
                if fault is not None:
                    errors.append(fault)
                if len(errors) >= ERRORS_MAX:
                    break
        except TooLargeError as error:
            errors.append(
                LineError("invalid_json_line", error.message, line=number_of(error.param))
            )
        _refuse(errors, spool.count)
    except BaseException:
        spool.close()
        raise
    return spool


def _refuse(errors: list[LineError], count: int) -> None:
    if count == 0 and not errors:
        errors = [LineError("empty_file", "the input file holds no request")]
    if errors:
        raise LinesRefusedError(errors)


def _add(
    spool: Spool, seen: dict[str, str], line: RawLine, where: tuple[str, Plans]
) -> LineError | None:
    try:
        _take(spool, seen, line, where)
    except _FaultError as fault:
        return LineError(fault.code, fault.message, fault.param, number_of(line.where))
    return None


def _take(spool: Spool, seen: dict[str, str], line: RawLine, where: tuple[str, Plans]) -> None:
    endpoint, plans = where
    if spool.count >= JOBS_MAX:
        raise _FaultError("too_many_requests", f"a batch has at most {JOBS_MAX:,} requests")
    read = _decoded(line)
    if read.method != "POST":
        raise _FaultError("invalid_method", "method: only POST is taken", "method")
    if read.url != endpoint:
        raise _FaultError(
            "mismatched_endpoint", f"url: is not the batch's endpoint, {endpoint}", "url"
        )
    try:
        check_custom_id(read.custom_id, seen, line.where)
    except InvalidRequestError as error:
        code = "duplicate_custom_id" if "already used" in error.message else "invalid_custom_id"
        raise _FaultError(code, error.message, "custom_id") from None
    try:
        number, prompt, tokens_max = plans.read(read.body)
        spool.add(read.custom_id, prompt, number, tokens_max)
    except InvalidRequestError as error:
        param = "body" if error.param is None else f"body.{error.param}"
        raise _FaultError("invalid_request", f"body.{error.message}", param) from None
    except (ValueError, RecursionError) as error:
        raise _FaultError("invalid_request", f"body: {error}", "body") from None


def _decoded(line: RawLine) -> _Line:
    if len(memoryview(line.body)) > LINE_BYTES_MAX:
        raise _FaultError("invalid_json_line", f"a line has at most {LINE_BYTES_MAX:,} bytes")
    try:
        return _DECODER.decode(line.body)
    except msgspec.ValidationError as error:
        reason, _, path = str(error).partition(" - at `$")
        param = path.strip(".`") or None
        raise _FaultError("invalid_request", reason, param) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise _FaultError("invalid_json_line", "this line is no JSON object") from None


def number_of(where: Any) -> int | None:
    """The number in `line 4`."""
    digits = str(where).rpartition(" ")[2]
    return int(digits) if digits.isdigit() else None


def read_one(body: Raws, plans: Plans) -> tuple[Plan, Spool]:
    """A single body as a batch of one.

    Raises:
        InvalidRequestError: something of it is wrong.
    """
    number, prompt, tokens_max = plans.read(body)
    spool = Spool()
    try:
        spool.add("request", prompt, number, tokens_max)
    except BaseException as error:
        spool.close()
        if isinstance(error, ValueError):
            raise InvalidRequestError(str(error)) from None
        raise
    return plans.plan, spool
