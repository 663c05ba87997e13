"""An account that has something to read."""

import pytest

from app.db import Store
from app.models import Account
from tests.factories import make_account


@pytest.fixture
def account(store: Store) -> Account:
    """An account without batches."""
    with store.transaction() as tx:
        return make_account(tx)


@pytest.fixture
def stranger(store: Store) -> Account:
    """Another account, which may read nothing of the first."""
    with store.transaction() as tx:
        return make_account(tx, name="stranger")
