"""A place for a story that is broken off: it outlives the process that tells it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from app.vault.master import new_fernet_key
from tests.fakes.provider import FakeProvider
from tests.fakes.story import Stage
from tests.fakes.webhooks import FakeReceiver


@pytest.fixture
def provider() -> Iterator[FakeProvider]:
    """What outlives the process, and remembers what it was asked."""
    with FakeProvider() as provider:
        yield provider


@pytest.fixture
def receiver() -> Iterator[FakeReceiver]:
    """What is told of the batches."""
    with FakeReceiver() as receiver:
        yield receiver


@pytest.fixture
def stage(
    store_url: str,
    tmp_path: Path,
    provider: FakeProvider,
    receiver: FakeReceiver,
    monkeypatch: pytest.MonkeyPatch,
) -> Stage:
    """A place for a story."""
    keys = f"{new_fernet_key()},{new_fernet_key()}"
    made = Stage(store_url, tmp_path, keys, provider.url, receiver.url)
    for name, value in made.environment.items():
        monkeypatch.setenv(name, value)
    return made
