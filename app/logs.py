"""Logs: one JSON object a line on stderr, through one handler that takes secrets out.

It sits on the root logger, so that a library's lines pass it too. Of an exception the types,
the places and the first line of each message are kept: further lines may quote rows and
parameters, and local variables hold prompts and keys.
"""

import logging
import re
import sys
import threading
import traceback
from collections.abc import Iterator, MutableMapping
from types import TracebackType
from typing import Any

import msgspec
import structlog
from structlog.stdlib import ProcessorFormatter
from structlog.typing import EventDict, Processor
from typing_extensions import override

from app.domain.errors import AppError, SetupError
from app.domain.redact import MASK, redact
from app.settings import Settings

#: Whose lines are shown from the level that is set; of other libraries only what is wrong.
OURS = ("app", "api", "workers", "uvicorn")
MESSAGE_CHARS_MAX = 300
TEXT_CHARS_MAX = 4000
_CAUSES_MAX = 8
_FRAMES_MAX = 30
_DEPTH_MAX = 6
_SECRET_NAME = re.compile(
    r"(?:^|[_-])(?:key|secret|token|password|authorization|cookie)$", re.IGNORECASE
)

log = structlog.get_logger(__name__)


def configure_logging(settings: Settings) -> None:
    """Set this process up to log; for its start, before anything else.

    Raises:
        SetupError: the level is none.
    """
    level = logging.getLevelNamesMapping().get(settings.log_level.upper())
    if level is None:
        raise SetupError("OVERNIGHT_LOG_LEVEL: use DEBUG, INFO, WARNING or ERROR")
    logging.basicConfig(handlers=[_handler()], level=logging.WARNING, force=True)
    logging.captureWarnings(capture=True)
    for name in OURS:
        logging.getLogger(name).setLevel(level)
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *_shared(),
            ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
    )
    sys.excepthook = _log_uncaught
    threading.excepthook = _log_uncaught_in_thread


class _Handler(logging.StreamHandler[Any]):
    """Writes to stderr, and does without it where it is gone: work goes on."""

    @override
    def handleError(self, record: logging.LogRecord) -> None:
        """Nothing: the default would print the record's arguments, unredacted."""


def _handler() -> logging.Handler:
    handler = _Handler(sys.stderr)
    handler.setFormatter(
        ProcessorFormatter(
            foreign_pre_chain=_shared(),
            processors=[ProcessorFormatter.remove_processors_meta, _clean, _render],
        )
    )
    return handler


def _shared() -> list[Processor]:
    """What our own lines and the libraries' go through alike."""
    return [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _show_exception,
    ]


def _show_exception(_logger: Any, _method: str, event: EventDict) -> EventDict:
    given = event.pop("exc_info", None)
    event.pop("stack_info", None)
    error = given if isinstance(given, BaseException) else None
    if isinstance(given, tuple):
        error = given[1]
    elif given and error is None:
        error = sys.exc_info()[1]
    if error is not None:
        event["exception"] = [_describe(one) for one in _chain(error)]
    return event


def _chain(error: BaseException) -> Iterator[BaseException]:
    """The exception, and what it came from."""
    found: BaseException | None = error
    for _ in range(_CAUSES_MAX):
        if found is None:
            return
        yield found
        found = found.__cause__ or (None if found.__suppress_context__ else found.__context__)


def _describe(error: BaseException) -> dict[str, Any]:
    frames = traceback.extract_tb(error.__traceback__, limit=-_FRAMES_MAX)
    return {
        "type": type(error).__name__,
        "message": _message_of(error),
        "frames": [f"{frame.filename}:{frame.lineno} in {frame.name}" for frame in frames],
    }


def _message_of(error: BaseException) -> str:
    if isinstance(error, AppError):
        return redact(error.message)[:MESSAGE_CHARS_MAX]
    try:
        lines = str(error).splitlines()
    except Exception:  # noqa: BLE001 - an exception that cannot even be shown
        return ""
    return redact(lines[0])[:MESSAGE_CHARS_MAX] if lines else ""


def _clean(_logger: Any, _method: str, event: EventDict) -> EventDict:
    return {name: _cleaned(value, name) for name, value in event.items()}


def _cleaned(value: Any, name: str = "", depth: int = 0) -> Any:
    """The value as it may be shown; what a line may hold is bounded."""
    if isinstance(value, str) and _SECRET_NAME.search(name):
        return MASK
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, MutableMapping) and depth < _DEPTH_MAX:
        return {str(key): _cleaned(one, str(key), depth + 1) for key, one in value.items()}
    if isinstance(value, list | tuple | set | frozenset) and depth < _DEPTH_MAX:
        return [_cleaned(one, name, depth + 1) for one in value]
    shown = redact(str(value))[:TEXT_CHARS_MAX]
    return shown.encode("utf-8", "backslashreplace").decode()  # a lone surrogate cannot be written


def _render(_logger: Any, _method: str, event: EventDict) -> str:
    return msgspec.json.encode(event).decode()


def _log_uncaught(
    kind: type[BaseException], error: BaseException, _trace: TracebackType | None
) -> None:
    if issubclass(kind, KeyboardInterrupt):
        return
    log.critical("uncaught", exc_info=error)


def _log_uncaught_in_thread(given: threading.ExceptHookArgs) -> None:
    if given.exc_value is not None:
        log.critical("uncaught", exc_info=given.exc_value, thread=getattr(given.thread, "name", ""))
