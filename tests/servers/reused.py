"""A PostgreSQL database that tests have one after another, emptied between them.

To make a database and to drop it takes a fifth of a second of work; to delete what a test wrote,
a few milliseconds. The rules that refuse a DELETE are put aside for that, and nothing else.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from psycopg import sql

from tests.servers.postgres import ADMIN, PostgresServer

#: Deleted rows leave room behind; beyond this a new database is quicker.
_SIZE_MAX = 8 * 2**20
_ENDS_WITHIN_MS = 10_000
#: Everything of a database that is not its rows, what the planner knows of them included.
_SHAPE = """
SELECT md5(concat(
  (SELECT string_agg(concat_ws(' ', oid, relname, relnatts, relchecks, reltuples, relpages,
                               relacl, reloptions), ',' ORDER BY oid)
     FROM pg_class WHERE relnamespace = 'public'::regnamespace),
  (SELECT string_agg(concat_ws(' ', attrelid, attnum, attname, atttypid, attnotnull), ','
                     ORDER BY attrelid, attnum)
     FROM pg_attribute JOIN pg_class ON pg_class.oid = attrelid
    WHERE relnamespace = 'public'::regnamespace),
  (SELECT string_agg(concat_ws(' ', oid, tgname, tgenabled), ',' ORDER BY oid) FROM pg_trigger),
  (SELECT string_agg(concat_ws(' ', oid, conname), ',' ORDER BY oid) FROM pg_constraint),
  (SELECT string_agg(concat_ws(' ', oid, xmin), ',' ORDER BY oid)
     FROM pg_proc WHERE pronamespace = 'public'::regnamespace),
  (SELECT string_agg(version_num, ',') FROM alembic_version)))
"""
_SIZE = """
SELECT coalesce(sum(pg_relation_size(oid)), 0) FROM pg_class
 WHERE relnamespace = 'public'::regnamespace AND relkind = 'r'
"""
_TABLES = """
SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r'
   AND relname <> 'alembic_version' ORDER BY relname
"""
_END_OTHERS = """
SELECT count(pg_terminate_backend(pid, %s)) FROM pg_stat_activity
 WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'
"""


class ReusedDatabase:
    """A copy of a template, lent to one test at a time, and made anew when one has changed it."""

    def __init__(self, server: PostgresServer, template: str) -> None:
        self._server = server
        self._template = template
        self._name: str | None = None
        self._connection: psycopg.Connection | None = None
        self._shape: str = ""

    @contextmanager
    def lend(self) -> Iterator[str]:
        """Its URL, for the block; nothing is in it but the schema."""
        if self._name is None:
            self._make()
        try:
            yield self._server.url_for(str(self._name))
        finally:
            if not self._empty():
                self.drop()

    def _make(self) -> None:
        self._name = self._server.create_database(template=self._template)
        self._connection = psycopg.connect(
            host=str(self._server.directory), user=ADMIN, dbname=self._name, autocommit=True
        )
        self._connection.execute("SET session_replication_role = replica")
        self._tables = sql.SQL("; ").join(
            sql.SQL("DELETE FROM {}").format(sql.Identifier(name))
            for (name,) in self._connection.execute(_TABLES).fetchall()
        )
        self._shape = self._ask(_SHAPE)

    def drop(self) -> None:
        """There is none any more; the next test makes another."""
        if self._connection is not None:
            self._connection.close()
        if self._name is not None:
            self._server.drop_database(self._name)
        self._name = self._connection = None

    def _empty(self) -> bool:
        """Whether it is as good as new again."""
        try:
            connection = self._open()
            connection.execute(_END_OTHERS, (_ENDS_WITHIN_MS,))
            if self._ask(_SHAPE) != self._shape or int(self._ask(_SIZE)) > _SIZE_MAX:
                return False
            connection.execute(self._tables)
        except psycopg.Error:  # a test may end every connection, or the server
            return False
        return True

    def _open(self) -> psycopg.Connection:
        if self._connection is None:
            raise LookupError("there is no database yet")
        return self._connection

    def _ask(self, statement: str) -> str:
        row = self._open().execute(statement.encode()).fetchone()
        return str(row and row[0])
