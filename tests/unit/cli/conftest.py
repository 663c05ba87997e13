"""Commands run in this process against an API that is only pretended."""

from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from api.cli.commands import run
from tests.fakes.api import FakeApi

#: The console script, as a function: what to type, and its exit code.
Overnight = Callable[..., int]


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> FakeApi:
    """The API that the settings name."""
    fake, real = FakeApi(), httpx.Client
    transport = httpx.MockTransport(fake.handle)
    monkeypatch.setattr(
        "api.cli.client.httpx.Client", lambda **given: real(**given | {"transport": transport})
    )
    monkeypatch.setenv("OVERNIGHT_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("OVERNIGHT_URL", "http://overnight.test")
    monkeypatch.setenv("OVERNIGHT_API_KEY", "ovn_a_made_up_key_that_ends_in_wxyz")
    return fake


@pytest.fixture
def overnight() -> Overnight:
    """Run a command."""
    return lambda *words: run(words)
