"""Whole installations for end-to-end tests, on both kinds of store."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from app import migrations
from app.db import Store
from tests.e2e.system import System, system_of
from tests.servers import PostgresServer, ValkeyServer, valkey_server


def migrate(url: str) -> None:
    """Bring an empty database to the schema of this version."""
    store = Store(url)
    migrations.upgrade(store.engine)
    store.close()


@pytest.fixture
def own_valkey() -> Iterator[ValkeyServer]:
    """A Valkey that the test may kill."""
    with valkey_server() as server:
        yield server


@pytest.fixture
def on_sqlite(tmp_path: Path, own_valkey: ValkeyServer) -> Iterator[System]:
    """An installation on SQLite."""
    url = f"sqlite:///{tmp_path / 'overnight.db'}"
    migrate(url)
    with system_of(tmp_path, url, own_valkey) as system:
        yield system


@pytest.fixture
def on_postgres(
    tmp_path: Path, postgres: PostgresServer, own_valkey: ValkeyServer
) -> Iterator[System]:
    """An installation on PostgreSQL."""
    with (
        postgres.database(template=postgres.template("migrated", migrate)) as url,
        system_of(tmp_path, url, own_valkey) as system,
    ):
        yield system


@pytest.fixture(params=["on_sqlite", "on_postgres"])
def system(request: pytest.FixtureRequest) -> System:
    """An installation, once on each kind of store."""
    made: System = request.getfixturevalue(request.param)
    return made
