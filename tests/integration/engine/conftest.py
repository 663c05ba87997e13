"""An engine on each kind of store; whatever a test did to it, the laws of the data hold after."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from app.db import Store
from app.pipeline.laws import check_laws
from tests.fakes.engine import Engine


@pytest.fixture
def engine(store: Store, tmp_path: Path) -> Iterator[Engine]:
    """A whole engine in one thread, whose laws are checked at the end."""
    made = Engine(store, tmp_path)
    yield made
    with store.read() as session:
        assert check_laws(session, store) == []
