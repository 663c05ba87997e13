"""The lines of a batch's input file: every one checked, and every fault named with its line."""

from collections.abc import Iterable
from typing import Any, Literal

import msgspec

from app.domain.errors import InvalidRequestError, TooLargeError
from app.domain.plan import Plan
from app.pipeline.lines import JOBS_MAX, LINE_BYTES_MAX, numbered_lines
from app.pipeline.openai.asked import CHAT, PlainBody, Raws
from app.pipeline.openai.plans import Plans
from app.pipeline.spool import Spool

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
    """A line, as far as it is OpenAI's, its body as it came; what is beside that is not read."""

    custom_id: str
    method: str
    url: str
    body: Raws


class _PlainLine(msgspec.Struct, frozen=True, gc=False):
    """A line for Chat Completions as most are, which is read at once."""

    custom_id: str
    method: Literal["POST"]
    url: Literal["/v1/chat/completions"]
    body: PlainBody


class _FaultError(Exception):
    def __init__(self, code: str, message: str, param: str | None = None) -> None:
        super().__init__(message)
        self.code, self.message, self.param = code, message, param

    def of(self, number: int) -> LineError:
        """The fault, told of a line."""
        return LineError(self.code, self.message, self.param, number)


_DECODER = msgspec.json.Decoder(_Line)
_PLAIN_DECODER = msgspec.json.Decoder(_PlainLine)
_UNREADABLE = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)


def read_lines(chunks: Iterable[bytes], endpoint: str, plans: Plans, spool: Spool) -> None:
    """Check every line of a file, and keep what is to be stored in a spool, which is closed if that fails.

    Raises:
        LinesRefusedError: one or more are wrong, or there is none.
    """
    errors = list[LineError]()
    try:
        try:
            for number, line in numbered_lines(chunks):
                try:
                    _take(spool, number, line, endpoint, plans)
                except _FaultError as fault:
                    errors.append(fault.of(number))
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


def _refuse(errors: list[LineError], count: int) -> None:
    if count == 0 and not errors:
        errors = [LineError("empty_file", "the input file holds no request")]
    if errors:
        raise LinesRefusedError(errors)


def _take(spool: Spool, number: int, line: bytes, endpoint: str, plans: Plans) -> None:
    if len(spool.plans) >= JOBS_MAX:
        raise _FaultError("too_many_requests", f"a batch has at most {JOBS_MAX:,} requests")
    if len(line) > LINE_BYTES_MAX:
        raise _FaultError("invalid_json_line", f"a line has at most {LINE_BYTES_MAX:,} bytes")
    read = (_read_plain(line) if endpoint == CHAT else None) or _read(line, endpoint)
    try:
        spool.name(read.custom_id, number)
    except InvalidRequestError as error:
        code = "duplicate_custom_id" if "already used" in error.message else "invalid_custom_id"
        raise _FaultError(code, error.message, "custom_id") from None
    try:
        body = read.body
        asked = plans.read_plain(body) if isinstance(body, PlainBody) else plans.read(body)
        spool.add(*asked)
    except InvalidRequestError as error:
        param = "body" if error.param is None else f"body.{error.param}"
        raise _FaultError("invalid_request", f"body.{error.message}", param) from None
    except (ValueError, RecursionError) as error:
        raise _FaultError("invalid_request", f"body: {error}", "body") from None


def _read_plain(line: bytes) -> _PlainLine | None:
    try:
        return _PLAIN_DECODER.decode(line)
    except _UNREADABLE:
        return None  # what is wrong with it, if anything is, shows in reading it step by step


def _read(line: bytes, endpoint: str) -> _Line:
    try:
        read = _DECODER.decode(line)
    except _UNREADABLE as error:
        raise _unreadable(error) from None
    if read.method != "POST" or read.url != endpoint:
        raise _elsewhere(read, endpoint)
    return read


def _elsewhere(line: _Line, endpoint: str) -> _FaultError:
    if line.method != "POST":
        return _FaultError("invalid_method", "method: only POST is taken", "method")
    return _FaultError(
        "mismatched_endpoint", f"url: is not the batch's endpoint, {endpoint}", "url"
    )


def _unreadable(error: Exception) -> _FaultError:
    if not isinstance(error, msgspec.ValidationError):
        return _FaultError("invalid_json_line", "this line is no JSON object")
    reason, _, path = str(error).partition(" - at `$")
    return _FaultError("invalid_request", reason, path.strip(".`") or None)


def number_of(where: Any) -> int | None:
    """The number in `line 4`."""
    digits = str(where).rpartition(" ")[2]
    return int(digits) if digits.isdigit() else None


def read_one(body: Raws, plans: Plans) -> tuple[Plan, Spool]:
    """A single body as a batch of one.

    Raises:
        InvalidRequestError: something of it is wrong.
    """
    asked = plans.read(body)
    spool = Spool()
    try:
        spool.name("request", "the body")
        spool.add(*asked)
    except BaseException as error:
        spool.close()
        if isinstance(error, ValueError):
            raise InvalidRequestError(str(error)) from None
        raise
    return plans.plan, spool
