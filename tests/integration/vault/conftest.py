"""A vault, and an account whose keys it holds."""

import pytest

from app.db import Store
from app.models import Account
from app.pipeline.accounts import make_account
from app.vault.master import Vault, new_fernet_key


@pytest.fixture
def vault() -> Vault:
    """A vault with a master key of its own."""
    return Vault(new_fernet_key())


@pytest.fixture
def account(store: Store, vault: Vault) -> Account:
    """An account without provider keys."""
    with store.transaction() as tx:
        return make_account(tx, vault, "one")
