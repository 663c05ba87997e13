"""A store that has no room: for a connection, for what is written, or in its log."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from app.db import Store
from app.models import Batch
from app.reports.results import stream_results
from tests.fakes.engine import Engine
from tests.integration.api.conftest import Api, refused
from workers.lease import Lease

on_postgres = pytest.mark.parametrize("store_url", ["postgres"], indirect=True)
on_sqlite = pytest.mark.parametrize("store_url", ["sqlite"], indirect=True)
PAGE_BYTES = 4096


def limit_connections(store: Store, most: int) -> None:
    """Let only so many into the database; -1 is as many as there is room for."""
    with store.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.exec_driver_sql(f"ALTER DATABASE {store.url.database} CONNECTION LIMIT {most:d}")


@pytest.fixture
def worker(store: Store) -> Iterator[Store]:
    """What a worker renews its lease by."""
    made = store.apart()
    yield made
    made.close()


@on_postgres
def test_s3_a_store_that_lets_nobody_else_in_is_503_and_leases_go_on(
    api: Api, worker: Store
) -> None:
    lease = Lease(worker, 20)
    lease._register()
    first_id = lease.worker_id
    try:
        limit_connections(worker, 1)
        api.engine.store.close()  # its next connection is one too many
        answer = api.get("/v1/batches")
        refused(answer, 503)
        assert int(answer.headers["retry-after"]) > 0
        assert api.get("/readyz").status_code == 503
        lease.renew()
        assert (lease.is_good, lease.worker_id) == (True, first_id)
    finally:
        limit_connections(worker, -1)
    assert api.get("/v1/batches").status_code == 200


@on_postgres
def test_s3_a_pool_that_is_used_up_is_503_and_leases_go_on(
    api: Api, worker: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    lease = Lease(worker, 20)
    lease._register()
    pool: Any = api.engine.store.engine.pool
    monkeypatch.setattr(pool, "_timeout", 0.1)
    with ExitStack() as held:
        for _ in range(pool.size()):
            held.enter_context(api.engine.store.engine.connect())
        answer = api.get("/v1/batches")
        refused(answer, 503)
        assert int(answer.headers["retry-after"]) > 0
        lease.renew()
        assert lease.is_good
    assert api.get("/v1/batches").status_code == 200


def wal_bytes(store: Store) -> int:
    return Path(f"{store.url.database}-wal").stat().st_size


def write_much(engine: Engine) -> None:
    """A hundred checkpoints' worth, in many transactions."""
    for _ in range(40):
        engine.submit([f"prompt {n} {'x' * 400}" for n in range(50)])


@on_sqlite
@pytest.mark.parametrize("is_held", [False, True])
def test_s10_a_client_that_reads_slowly_does_not_let_the_log_grow(
    engine: Engine, *, is_held: bool
) -> None:
    def checkpoint_often(connection: Any, *_: object) -> None:
        connection.execute("PRAGMA wal_autocheckpoint = 20")

    sa.event.listen(engine.store.engine, "connect", checkpoint_often)
    engine.store.close()
    batch_id = engine.submit([f"prompt {n}" for n in range(40)])
    engine.drain()
    with engine.store.read() as session:
        if is_held:  # what would happen if an export were one long read
            session.get_one(Batch, batch_id)
        export = stream_results(engine.store, engine.account_id, batch_id)
        head = [next(export), next(export)]
        if not is_held:
            session.close()
        write_much(engine)
        grown = wal_bytes(engine.store)
    assert (grown > 400 * PAGE_BYTES) == is_held, grown
    assert b"".join([*head, *export]).count(b"\n") == 40
    sa.event.remove(engine.store.engine, "connect", checkpoint_often)
