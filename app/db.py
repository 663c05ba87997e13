"""The store: its engine, the only commit, and the only clock of leases and due times."""

import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, cast

import psycopg
import sqlalchemy as sa
import structlog
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlmodel import Session, SQLModel

from app.dialects import copy_types, insert_into_sqlite, render
from app.domain.commits import Commit, CrashPoint
from app.domain.errors import UnavailableError
from app.semaphore import FairSemaphore
from app.sessions import Reader, Tx, db_now

log = structlog.get_logger(__name__)

#: Deadlock, serialization failure, too many connections, and a server that goes or comes up.
_TRANSIENT = {"40001", "40P01", "53300", "57P01", "57P02", "57P03", "55P03"}
#: A fenced statement wants its rows by key; a planner with stale statistics may think
#: otherwise, and a generic plan is made once per connection instead of once per call.
_HOT_OPTIONS = " ".join(
    f"-c {option}"
    for option in (
        "enable_seqscan=off",
        "enable_hashjoin=off",
        "enable_mergejoin=off",
        "enable_bitmapscan=off",
        "jit=off",
        "plan_cache_mode=force_generic_plan",
        # A worker that is stopped in the middle of a transaction must not keep its locks.
        "idle_in_transaction_session_timeout=15000",
    )
)

#: How many connections SQLite's pool keeps, and may have beside: readers, and one writer.
_SQLITE_POOL = {"pool_size": 5, "max_overflow": 10}
_CONNECTION_WAIT_S = 30

_PRAGMAS = (
    "journal_mode=WAL",
    "synchronous=FULL",
    "foreign_keys=ON",
    "recursive_triggers=ON",  # or REPLACE would delete what may not be deleted
    "secure_delete=ON",
    # 8 MiB for each connection: what a large transaction writes beyond that goes to its log early,
    # at no price, and what is read again is in the system's own cache.
    "cache_size=-8192",
)
#: How many pages SQLite's log may have before a commit also writes them to the database. That
#: holds up whoever commits: workers have a thread for it, and who waits for an answer of the API
#: should not. It does so only where no worker has for a long time.
_LOG_PAGES, _LOG_PAGES_HOT = 40_000, 4_000


class Store:
    """A PostgreSQL or SQLite database.

    Args:
        url: an SQLAlchemy URL.
        hot: pin the plans of the engine's statements; for dispatch, not for reports.
        pool_size: connections kept at most.
        crash_at: the moment beside a commit at which this process dies, for tests.

    Raises:
        SetupError: there is no such moment.
    """

    def __init__(
        self, url: str, *, hot: bool = False, pool_size: int = 10, crash_at: str | None = None
    ) -> None:
        self.url = sa.make_url(url)
        self.is_sqlite = self.url.get_backend_name() == "sqlite"
        self._hot = hot
        self.crash_at = crash_at
        self._crash = CrashPoint(crash_at) if crash_at else None
        self.engine = self._sqlite_engine() if self.is_sqlite else self._pg_engine(pool_size)
        #: What every session has in its `info`.
        self.info: dict[Any, Any] = {}
        # SQLite has one writer; waiting for it here is fair, and costs no polling.
        self._writer = FairSemaphore() if self.is_sqlite else nullcontext()
        places = sum(_SQLITE_POOL.values()) if self.is_sqlite else pool_size
        self._connections = FairSemaphore(places, wait_s=_CONNECTION_WAIT_S)

    def _sqlite_engine(self) -> sa.Engine:
        if self.url.database:
            Path(self.url.database).parent.mkdir(parents=True, exist_ok=True)
        engine = sa.create_engine(
            self.url,
            **_SQLITE_POOL,
            pool_timeout=_CONNECTION_WAIT_S,
            connect_args={"timeout": 30, "check_same_thread": False, "cached_statements": 256},
        )
        pages = _LOG_PAGES_HOT if self._hot else _LOG_PAGES
        sa.event.listen(engine, "connect", partial(_prepare_sqlite, pages))
        sa.event.listen(engine, "begin", _begin_sqlite)
        return engine

    def _pg_engine(self, pool_size: int) -> sa.Engine:
        options = f"-c timezone=UTC {_HOT_OPTIONS if self._hot else ''}"
        return sa.create_engine(
            self.url,
            pool_size=pool_size,
            max_overflow=0,
            pool_use_lifo=True,  # the fewest connections, which have most of it prepared
            pool_timeout=_CONNECTION_WAIT_S,
            connect_args={
                "connect_timeout": 5,
                # Nearly all statements come again: prepared at once instead of at the fifth time,
                # an answer at OpenAI's door comes 3 ms earlier.
                "prepare_threshold": 0,
                "options": options,
                "application_name": "overnight",
            },
        )

    def apart(self) -> "Store":
        """The same store with one connection of its own, which others' cannot be short of.

        On SQLite it is this one, where all writers take turns.
        """
        if self.is_sqlite:
            return self
        url = self.url.render_as_string(hide_password=False)
        return Store(url, hot=self._hot, pool_size=1, crash_at=self.crash_at)

    @contextmanager
    def transaction(self, commit: Commit | None = None) -> Iterator[Tx]:
        """One transaction, committed when the block ends, and rolled back if it raises.

        `commit` is its name, which every one of the product has.

        Raises:
            UnavailableError: the store is busy, restarting or away; trying again is right.
        """
        with (
            self._translated(),
            self._writer,
            self._connections,
            self.engine.connect().execution_options(sqlite_begin="IMMEDIATE") as connection,
            connection.begin(),
            Tx(bind=connection, expire_on_commit=False, info=self.info) as tx,
        ):
            yield tx
            tx.flush()
            if self._crash is not None:
                self._crash.pass_by(commit, "before")
        if self._crash is not None:
            self._crash.pass_by(commit, "after")
        for hook in tx.hooks:
            try:
                hook()
            except Exception:
                log.exception("after_commit_failed")

    @contextmanager
    def read(self) -> Iterator[Reader]:
        """A session for reading: one snapshot on SQLite, the latest commits on PostgreSQL."""
        with (
            self._translated(),
            self._connections,
            self.engine.connect() as connection,
            Reader(bind=connection, expire_on_commit=False, info=self.info) as session,
        ):
            yield session
            # There is nothing to write; but after a ROLLBACK psycopg forgets every statement that
            # this connection has prepared, and hot ones would be planned anew each time.
            session.expunge_all()
            session.commit()

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except (OperationalError, InterfaceError, PoolTimeoutError) as error:
            log.warning("store_unavailable", error=type(error).__name__, detail=_cause(error))
            raise UnavailableError from error
        except (sqlite3.OperationalError, psycopg.OperationalError) as error:
            log.warning("store_unavailable", error=type(error).__name__, detail=str(error)[:300])
            raise UnavailableError from error
        except DBAPIError as error:
            if error.connection_invalidated or _sqlstate(error) in _TRANSIENT:
                raise UnavailableError from error
            raise

    def sql(self, statement: str) -> sa.TextClause:
        """A statement for this store, from one with tokens (see the module's own words)."""
        return render(statement, self.engine.dialect.name)

    @staticmethod
    def now(session: Session) -> datetime:
        """This moment by the store's clock, aware."""
        moment = session.connection().execute(sa.select(db_now())).scalar_one()
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)

    def insert_rows(
        self, tx: Tx, table: type[SQLModel], columns: Sequence[str], rows: Iterable[Sequence[Any]]
    ) -> None:
        """Insert many rows the fastest way there is: COPY, or statements of many rows each."""
        if self.is_sqlite:
            head = f"INSERT INTO {_place(table, columns)} VALUES "  # noqa: S608 - our own names
            insert_into_sqlite(_driver(tx), head, len(columns), rows)
            return
        with self.copying(tx, table, columns) as copy:
            copy(rows)

    @contextmanager
    def copying(
        self, tx: Tx, table: type[SQLModel], columns: Sequence[str]
    ) -> Iterator[Callable[[Iterable[Sequence[Any]]], None]]:
        """PostgreSQL only: a COPY, given rows as often as one likes; nothing else meanwhile."""
        copied = f"COPY {_place(table, columns)} FROM STDIN (FORMAT BINARY)"
        with _driver(tx).cursor() as cursor, cursor.copy(copied) as copy:
            copy.set_types(copy_types(_table(table), tuple(columns)))
            yield lambda rows: _write_rows(copy, rows)

    def checkpoint(self) -> bool:
        """Empty SQLite's write-ahead log, where what was deleted can still be read; whether it is.

        A reader may keep it from that for a while. PostgreSQL's log is its own affair.
        """
        if not self.is_sqlite:
            return False
        with self._writer, self._connections, self.engine.connect() as connection:
            driver: Any = connection.connection.driver_connection
            is_busy, _, _ = driver.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        return not is_busy

    def close(self) -> None:
        """Close every connection."""
        self.engine.dispose()


def _driver(tx: Tx) -> Any:
    return tx.connection().connection.driver_connection


def _table(model: type[SQLModel]) -> sa.Table:
    return SQLModel.metadata.tables[cast("str", model.__tablename__)]


def _place(model: type[SQLModel], columns: Sequence[str]) -> str:
    """A table and some of its columns, as statements name them."""
    names = ", ".join(f'"{column}"' for column in columns)
    return f'"{_table(model).name}" ({names})'


def _write_rows(copy: psycopg.Copy, rows: Iterable[Sequence[Any]]) -> None:
    for row in rows:
        copy.write_row(row)


def insert_once(tx: Tx, row: SQLModel) -> bool:
    """Insert a row unless a unique constraint says that it is there; whether it was not."""
    connection = tx.connection()
    insert = sqlite.insert if connection.dialect.name == "sqlite" else postgresql.insert
    statement = insert(type(row)).values(row.model_dump()).on_conflict_do_nothing()
    # By what comes back: SQLAlchemy does not keep every insert's row count.
    return connection.execute(statement.returning(sa.literal(1))).first() is not None


def _prepare_sqlite(log_pages: int, connection: Any, _record: Any) -> None:
    connection.isolation_level = None  # the driver's own BEGIN is deferred, and never immediate
    for pragma in (*_PRAGMAS, f"wal_autocheckpoint={log_pages}"):
        connection.execute(f"PRAGMA {pragma}")


def _begin_sqlite(connection: sa.Connection) -> None:
    # A deferred transaction that reads and then writes fails at once when another wrote.
    kind = connection.get_execution_options().get("sqlite_begin", "DEFERRED")
    driver: Any = connection.connection.driver_connection
    driver.execute(f"BEGIN {kind}")


def in_ms(delay: timedelta | float) -> int:
    """A delay, or seconds, as whole milliseconds for `{after_ms()}`."""
    seconds = delay.total_seconds() if isinstance(delay, timedelta) else delay
    return max(0, round(seconds * 1000))


def _sqlstate(error: DBAPIError) -> str | None:
    return getattr(error.orig, "sqlstate", None)


def _cause(error: Exception) -> str:
    """The driver's own words, without the statement and its parameters."""
    return str(getattr(error, "orig", None) or type(error).__name__)[:300]


__all__ = ["Commit", "Reader", "Store", "Tx", "db_now", "in_ms", "insert_once"]
