"""The schema: the same from the migrations as from the tables, on both stores."""

import itertools
import os
import signal
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy.exc import DBAPIError, StatementError
from sqlmodel import select

from app import migrations
from app.db import Store
from app.domain.errors import SetupError
from app.models import Batch, Lane, Table, Worker
from tests.factories import make_account
from tests.fakes.crashing import DIES_WITHIN_S, FORKS


@pytest.fixture(params=["sqlite", "postgres"])
def empty_store(request: pytest.FixtureRequest, tmp_path) -> Iterator[Store]:
    """A store with nothing in it."""
    if request.param == "sqlite":
        store = Store(f"sqlite:///{tmp_path / 'empty.db'}")
    else:
        store = Store(request.getfixturevalue("postgres_url"))
    yield store
    store.close()


def test_migrations_make_exactly_the_tables(empty_store: Store) -> None:
    migrations.upgrade(empty_store.engine)
    with empty_store.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, Table.metadata) == []


def test_migrating_twice_changes_nothing(empty_store: Store) -> None:
    assert migrations.upgrade(empty_store.engine) == migrations.upgrade(empty_store.engine)
    assert migrations.current(empty_store.engine) == migrations.head()
    migrations.check_schema(empty_store.engine)


def migrate_and_die(url: str, statements: int) -> None:
    """Die in the middle of a migration, after so many statements."""
    store, done = Store(url), itertools.count()

    def pass_by(*_: object) -> None:
        if next(done) == statements:
            os.kill(os.getpid(), signal.SIGKILL)

    sa.event.listen(store.engine, "before_cursor_execute", pass_by)
    migrations.upgrade(store.engine)


@pytest.mark.parametrize("statements", [60])
def test_s8_a_migration_that_is_killed_is_finished_by_the_next(
    empty_store: Store, statements: int
) -> None:
    url = empty_store.url.render_as_string(hide_password=False)
    process = FORKS.Process(target=migrate_and_die, args=(url, statements))
    process.start()
    process.join(DIES_WITHIN_S)
    assert process.exitcode == -signal.SIGKILL
    with pytest.raises(SetupError, match="run `overnight migrate`"):
        migrations.check_schema(empty_store.engine)
    assert migrations.upgrade(empty_store.engine) == migrations.head()
    with empty_store.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, Table.metadata) == []


def test_a_process_does_not_start_on_an_empty_store(empty_store: Store) -> None:
    with pytest.raises(SetupError, match="run `overnight migrate`"):
        migrations.check_schema(empty_store.engine)


def test_s8_a_process_does_not_start_on_a_newer_schema(store: Store) -> None:
    with store.transaction() as tx:
        tx.run(sa.text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(SetupError, match="newer than this version"):
        migrations.check_schema(store.engine)
    with pytest.raises(SetupError, match="newer than this version"):
        migrations.upgrade(store.engine)


def test_a_moment_comes_back_aware_and_in_utc(store: Store) -> None:
    there = timezone(timedelta(hours=9))
    moment = datetime(2026, 11, 24, 3, 4, 5, 678901, tzinfo=there)
    with store.transaction() as tx:
        tx.add(
            Worker(id="wrk_1", host="h", pid=1, version="1", started_at=moment, lease_until=moment)
        )
    with store.read() as session:
        worker = session.exec(select(Worker)).one()
        now = store.now(session)
    assert worker.started_at == moment
    assert worker.started_at.tzinfo is UTC
    assert now.tzinfo is UTC
    assert abs((now - datetime.now(UTC)).total_seconds()) < 5


def test_a_naive_moment_is_refused(store: Store) -> None:
    naive = datetime(2026, 11, 24, 3, 4, 5)  # noqa: DTZ001
    with pytest.raises(StatementError, match="naive"), store.transaction() as tx:
        tx.add(
            Worker(id="wrk_1", host="h", pid=1, version="1", started_at=naive, lease_until=naive)
        )


@pytest.mark.parametrize(
    ("column", "value"), [("state", "nonsense"), ("ending", "nonsense"), ("reserved_nanos", -1)]
)
def test_the_store_itself_refuses_what_a_column_may_not_hold(
    store: Store, column: str, value: object
) -> None:
    with store.transaction() as tx:
        account_id = make_account(tx).id
        batch = Batch(
            id="batch_1",
            account_id=account_id,
            mode="chat",
            created_at=store.now(tx),
            jobs_total=1,
            jobs_queued=1,
        )
        tx.add(batch)
    with pytest.raises(DBAPIError), store.transaction() as tx:
        tx.run(sa.text(f"UPDATE batch SET {column} = :value"), {"value": value})


def test_an_account_has_one_lane_for_a_provider_and_the_platform_too(store: Store) -> None:
    for account in (True, False):
        with store.transaction() as tx:
            account_id = make_account(tx).id if account else None
            now = store.now(tx)
            first = Lane(
                id=f"lane_{account}1",
                account_id=account_id,
                provider="p",
                billed="byok",
                created_at=now,
            )
            tx.add(first)
        with pytest.raises(DBAPIError), store.transaction() as tx:
            tx.add(
                Lane(
                    id=f"lane_{account}2",
                    account_id=account_id,
                    provider="p",
                    billed="byok",
                    created_at=now,
                )
            )
