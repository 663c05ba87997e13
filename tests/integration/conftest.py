"""Stores with the whole schema, of both kinds, fresh for each test."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from app import migrations
from app.db import Store
from tests.servers import PostgresServer


def migrate(url: str) -> None:
    """Bring an empty database to the schema of this version."""
    store = Store(url)
    migrations.upgrade(store.engine)
    store.close()


@pytest.fixture(scope="session")
def migrated_sqlite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The SQLite file that others are copied from."""
    path = tmp_path_factory.mktemp("sqlite") / "migrated.db"
    migrate(f"sqlite:///{path}")
    return path


@pytest.fixture(params=["sqlite", "postgres"])
def store_url(request: pytest.FixtureRequest) -> str:
    """The URL of a migrated store of this test's own, once on SQLite and once on PostgreSQL."""
    return str(request.getfixturevalue(f"{request.param}_store_url"))


@pytest.fixture
def sqlite_store_url(migrated_sqlite: Path, tmp_path: Path) -> str:
    """The URL of a migrated SQLite store."""
    return f"sqlite:///{shutil.copy(migrated_sqlite, tmp_path / 'overnight.db')}"


@pytest.fixture
def postgres_store_url(postgres: PostgresServer) -> Iterator[str]:
    """The URL of a migrated PostgreSQL store."""
    with postgres.database(template=postgres.template("migrated", migrate)) as url:
        yield url


@pytest.fixture
def store(store_url: str) -> Iterator[Store]:
    """A migrated store of this test's own, once on SQLite and once on PostgreSQL."""
    opened = Store(store_url)
    yield opened
    opened.close()
