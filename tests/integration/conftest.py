"""Stores with the whole schema, of both kinds, fresh for each test."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from app import db, migrations
from app.db import Store
from tests.servers import PostgresServer
from tests.servers.reused import ReusedDatabase


@pytest.fixture(scope="session", autouse=True)
def careless_sqlite() -> Iterator[None]:
    """SQLite does not wait for the disk: no test cuts the power."""
    careless = (*db._PRAGMAS, "synchronous=OFF")
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(db, "_PRAGMAS", careless)
        yield


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
def sqlite_store_url(migrated_sqlite: Path) -> str:
    """The URL of a migrated SQLite store, a new file at the same place for each test."""
    path = migrated_sqlite.with_name("overnight.db")
    for name in ("overnight.db", "overnight.db-wal", "overnight.db-shm"):
        path.with_name(name).unlink(missing_ok=True)
    return f"sqlite:///{shutil.copy(migrated_sqlite, path)}"


@pytest.fixture(scope="session")
def reused_database(postgres: PostgresServer) -> Iterator[ReusedDatabase]:
    """The PostgreSQL database that the tests of this process have in turn."""
    database = ReusedDatabase(postgres, postgres.template("migrated", migrate))
    yield database
    database.drop()


@pytest.fixture
def postgres_store_url(reused_database: ReusedDatabase) -> Iterator[str]:
    """The URL of a migrated PostgreSQL store."""
    with reused_database.lend() as url:
        yield url


@pytest.fixture(scope="session")
def stores() -> dict[str, Store]:
    """Stores by their URL: what one has compiled, it does not compile for the next test again."""
    return {}


@pytest.fixture
def store(store_url: str, stores: dict[str, Store]) -> Iterator[Store]:
    """A migrated store of this test's own, once on SQLite and once on PostgreSQL."""
    opened = stores.get(store_url) or stores.setdefault(store_url, Store(store_url))
    yield opened
    opened.close()
    opened.info.clear()
