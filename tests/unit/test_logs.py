"""Logs: a line of JSON each, with nothing in it that should not be."""

import json
import logging
import sys
import threading
from collections.abc import Iterator
from typing import Any

import pytest
import structlog

from app.domain.errors import SealError, SetupError
from app.logs import configure_logging
from app.settings import Settings

CANARY = "sk-canary-0123456789"


@pytest.fixture(autouse=True)
def as_it_was() -> Iterator[None]:
    """Whatever a test configures is undone."""
    root, hooks = logging.getLogger(), (sys.excepthook, threading.excepthook)
    handlers, level = root.handlers[:], root.level
    logs = structlog.get_config()
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    sys.excepthook, threading.excepthook = hooks
    logging.captureWarnings(capture=False)
    structlog.configure(**logs)


def configured(level: str = "INFO") -> None:
    configure_logging(Settings.model_validate({"OVERNIGHT_LOG_LEVEL": level}))


def lines(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    captured = capsys.readouterr()
    assert captured.out == ""
    return [json.loads(line) for line in captured.err.splitlines()]


def test_a_line_is_an_object_with_a_time_and_who_said_it(
    capsys: pytest.CaptureFixture[str],
) -> None:
    configured()
    structlog.get_logger("app.somewhere").info("batch_closed", batch="batch_1", jobs=3)
    (line,) = lines(capsys)
    assert line.pop("timestamp").endswith("Z")
    assert line == {
        "event": "batch_closed",
        "batch": "batch_1",
        "jobs": 3,
        "level": "info",
        "logger": "app.somewhere",
    }


@pytest.mark.parametrize(
    "fields",
    [
        {"detail": f"refused {CANARY}"},
        {"nested": {"list": [f"Bearer {CANARY}"]}},
        {"api_key": "no-prefix-canary"},
        {"headers": {"authorization": "no-prefix-canary", "x-api-key": "no-prefix-canary"}},
        {"url": "https://x.example/?key=no-prefix-canary&a=b"},
        {"other": OSError(f"cannot use {CANARY}")},
    ],
)
def test_k1_a_secret_in_a_field_is_taken_out(
    fields: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    configured("DEBUG")
    structlog.get_logger("app.x").warning("it", **fields)
    assert "canary" not in json.dumps(lines(capsys))


def test_k1_a_librarys_line_goes_the_same_way(capsys: pytest.CaptureFixture[str]) -> None:
    configured()
    logging.getLogger("httpx2").warning("GET https://x.example/?key=%s", CANARY)
    (line,) = lines(capsys)
    assert line["event"] == "GET https://x.example/?key=***"
    assert line["level"] == "warning"


def test_libraries_are_heard_only_when_something_is_wrong(
    capsys: pytest.CaptureFixture[str],
) -> None:
    configured("DEBUG")
    logging.getLogger("httpx2").info("GET https://x.example/")
    structlog.get_logger("workers.pump").debug("turn")
    assert [line["event"] for line in lines(capsys)] == ["turn"]


def failing(prompt: str) -> None:
    hidden = prompt.upper()
    raise ValueError(f"bad header {CANARY}\nDETAIL: {hidden}")


def test_k11_of_an_exception_no_local_variable_is_shown(
    capsys: pytest.CaptureFixture[str],
) -> None:
    configured("DEBUG")
    try:
        try:
            failing("a private prompt")
        except ValueError as error:
            raise SealError("what is sealed does not open") from error
    except SealError:
        structlog.get_logger("app.x").exception("failed")
    (line,) = lines(capsys)
    outer, cause = line["exception"]
    assert (outer["type"], outer["message"]) == ("SealError", "what is sealed does not open")
    assert (cause["type"], cause["message"]) == ("ValueError", "bad header ***")
    assert cause["frames"][-1].endswith(" in failing")
    assert "private" not in json.dumps(line).lower()


def test_k11_nor_where_nobody_caught_it(capsys: pytest.CaptureFixture[str]) -> None:
    configured()
    try:
        failing("a private prompt")
    except ValueError as error:
        sys.excepthook(ValueError, error, error.__traceback__)
    (line,) = lines(capsys)
    assert (line["event"], line["level"]) == ("uncaught", "critical")
    assert "private" not in json.dumps(line).lower()


def test_what_cannot_be_written_is_still_logged(capsys: pytest.CaptureFixture[str]) -> None:
    configured()
    structlog.get_logger("app.x").info("it", text="\ud800", number=float("nan"), thing=object())
    (line,) = lines(capsys)
    assert line["text"] == "\\ud800"


def test_o2_work_goes_on_where_nothing_can_be_written(monkeypatch: pytest.MonkeyPatch) -> None:
    class Full:
        def write(self, _text: str) -> None:
            raise OSError(28, "No space left on device")

        def flush(self) -> None: ...

    monkeypatch.setattr(sys, "stderr", Full())
    configured()
    structlog.get_logger("app.x").info("it")


def test_a_level_that_is_none_stops_the_start() -> None:
    with pytest.raises(SetupError, match="OVERNIGHT_LOG_LEVEL"):
        configured("LOUD")
