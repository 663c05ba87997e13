"""What deliver is handed, and who it delivers to."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from app.db import Store
from app.models import Account
from app.pipeline.accounts import make_account
from app.pipeline.services import Services
from app.settings import load_settings
from app.vault.master import Vault, new_fernet_key
from tests.factories.deliveries import NoQueue
from tests.fakes.webhooks import FakeReceiver


@pytest.fixture
def services(store: Store, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Services:
    """What the use case is handed; the receiver's host is trusted."""
    monkeypatch.setenv("OVERNIGHT_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("OVERNIGHT_TRUSTED_HOSTS", "127.0.0.1")
    return Services(load_settings(), store, NoQueue(), Vault(new_fernet_key()))


@pytest.fixture
def account(services: Services) -> Account:
    """An account."""
    with services.store.transaction() as tx:
        return make_account(tx, services.vault, "one")


@pytest.fixture
def receiver() -> Iterator[FakeReceiver]:
    """A receiver that takes everything."""
    with FakeReceiver() as receiver:
        yield receiver
