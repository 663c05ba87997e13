"""The scheduler's own words."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import structlog

from app.pipeline.room import Room
from workers.scheduler import DiskWatch


def test_a_disk_that_is_nearly_full_is_said_in_the_log_once_in_a_while(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found = [Room(Path("/data"), 2**30, 2**40)]
    monkeypatch.setattr("workers.scheduler.rooms", lambda _: found)
    services: Any = SimpleNamespace(settings=None)
    watch = DiskWatch(services)
    with structlog.testing.capture_logs() as logs:
        watch.look()
        watch.look()
    assert [(one["event"], one["log_level"]) for one in logs] == [("disk_nearly_full", "warning")]
