"""Sessions: one to read by, and one that is a transaction; and the store's clock in statements."""

import sqlite3
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, cast

import msgspec
import sqlalchemy as sa
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement
from sqlmodel import Session

from app.dialects import SQLITE_NOW, all_at_once, change_on_sqlite, for_psycopg


class db_now(FunctionElement[datetime]):  # noqa: N801 - it reads as the SQL function it is
    """This moment by the store's clock."""

    type = sa.DateTime(timezone=True)
    inherit_cache = True


@compiles(db_now, "postgresql")
def _now_on_postgresql(_element: db_now, _compiler: Any, **_: Any) -> str:
    return "clock_timestamp()"


@compiles(db_now, "sqlite")
def _now_on_sqlite(_element: db_now, _compiler: Any, **_: Any) -> str:
    return SQLITE_NOW


class Reader(Session):
    """A session with a short way to the driver, for hot statements.

    What SQLAlchemy adds to a statement costs more than many of them do.
    """

    def fast(self, statement: sa.TextClause, values: Mapping[str, Any]) -> list[tuple[Any, ...]]:
        """Execute a statement by the driver itself; answers its rows, if it has any."""
        driver = self._driver()
        if isinstance(driver, sqlite3.Connection):
            return driver.execute(statement.text, values).fetchall()
        with driver.cursor() as cursor:
            cursor.execute(for_psycopg(statement.text), values)
            return [] if cursor.description is None else cursor.fetchall()

    def select(
        self, statement: sa.TextClause, width: int, values: Mapping[str, Any]
    ) -> list[Sequence[Any]]:
        """Execute a SELECT of so many columns, none of which is a BLOB; answers its rows.

        SQLite's driver hands the interpreter over at each row, and other threads keep it for a
        while; so from there they come all at once.
        """
        driver = self._driver()
        if not isinstance(driver, sqlite3.Connection):
            return cast("list[Sequence[Any]]", self.fast(statement, values))
        (told,) = driver.execute(all_at_once(statement.text, width), values).fetchone()
        return cast("list[Sequence[Any]]", msgspec.json.decode(told))

    def _driver(self) -> Any:
        return self.connection().connection.driver_connection


class Tx(Reader):
    """One transaction. What it hooks on runs after its commit, and not at all without one."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.hooks: list[Callable[[], None]] = []

    def after_commit(self, hook: Callable[[], None]) -> None:
        """Run `hook` once the transaction is durable; an error in it is logged, not raised."""
        self.hooks.append(hook)

    def change_rows(self, statement: sa.TextClause, rows: Sequence[Sequence[Any]]) -> int:
        """Execute a hot statement of SQLite's with `{given()}`; answers how many rows it changed."""
        return change_on_sqlite(self._driver(), statement.text, rows)

    def run(
        self, statement: sa.Executable, values: Mapping[str, Any] | None = None
    ) -> sa.CursorResult[*tuple[Any, ...]]:
        """Execute a statement, with what it changed: `rowcount` is how many rows."""
        self.flush()
        return self.connection().execute(statement, values)

    def change(self, statement: sa.TextClause, values: Mapping[str, Any]) -> int:
        """Execute a hot statement that answers no rows; answers how many it changed."""
        driver = self._driver()
        if isinstance(driver, sqlite3.Connection):
            # Its cursors count nothing for a statement that begins with WITH.
            before = driver.total_changes
            driver.execute(statement.text, values)
            return driver.total_changes - before
        with driver.cursor() as cursor:
            cursor.execute(for_psycopg(statement.text), values)
            return int(cursor.rowcount)
