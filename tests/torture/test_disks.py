"""A PostgreSQL whose disk is full; and one whose space came back."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlmodel import select

from app.db import Store
from app.domain.errors import UnavailableError
from app.models import Batch, Job
from app.pipeline.laws import check_laws
from tests.fakes.engine import Engine
from tests.integration.conftest import migrate
from tests.servers import PostgresServer
from tests.servers.postgres import ADMIN, USER

SMALL, LARGE = "size=24m", "size=200m"


@pytest.fixture
def small_disk(postgres: PostgresServer) -> Iterator[Path]:
    """A disk of 24 MB that the server can use."""
    place = postgres.directory / "small"
    place.mkdir()
    mounted = ["mount", "-t", "tmpfs", "-o", SMALL, "tmpfs", str(place)]
    if os.geteuid() != 0 or subprocess.run(mounted, capture_output=True, check=False).returncode:
        pytest.skip("only root can make a small disk")
    try:
        owner = postgres.directory.stat().st_uid
        os.chown(place, owner, -1)
        yield place
    finally:
        subprocess.run(["umount", "--lazy", str(place)], check=True)


@pytest.fixture
def small_store(postgres: PostgresServer, small_disk: Path) -> Iterator[Store]:
    """A migrated store on the small disk."""
    with postgres._connect(ADMIN) as connection:
        connection.execute(f"CREATE TABLESPACE small LOCATION '{small_disk}'".encode())
        connection.execute(f"CREATE DATABASE small OWNER {USER} TABLESPACE small".encode())
    url = postgres.url_for("small")
    migrate(url)
    store = Store(url)
    yield store
    store.close()
    postgres.drop_database("small")
    with postgres._connect(ADMIN) as connection:
        connection.execute("DROP TABLESPACE small")


def test_s5_a_full_disk_of_postgresql_refuses_a_submit_whole_and_is_recovered_from(
    small_store: Store, small_disk: Path, tmp_path: Path
) -> None:
    engine = Engine(small_store, tmp_path)
    many = [f"prompt {n} {os.urandom(4000).hex()}" for n in range(4000)]
    with pytest.raises(UnavailableError):
        engine.submit(many)
    with small_store.read() as session:
        assert session.exec(select(Batch.id)).all() == []
        assert session.exec(select(Job.id)).all() == []
    subprocess.run(["mount", "-o", f"remount,{LARGE}", str(small_disk)], check=True)
    batch_id = engine.submit(many[:20])
    engine.drain()
    with small_store.read() as session:
        assert session.get_one(Batch, batch_id).state == "completed"
        assert check_laws(session, small_store) == []
