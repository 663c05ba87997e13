"""Brings a store to this version's schema, and refuses to work on a newer one."""

from pathlib import Path

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from app.domain.errors import SetupError

#: Any number will do, as long as every Overnight uses the same one.
_LOCK_ID = 0x0E12716


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent))
    return config


def _scripts() -> ScriptDirectory:
    return ScriptDirectory.from_config(_config())


def upgrade(engine: sa.Engine) -> str:
    """Migrate to this version's schema, one process at a time, and say its revision.

    An interrupted migration leaves the store at the last finished revision; running it
    again finishes.

    Raises:
        SetupError: the store's schema is newer than this version.
    """
    config = _config()
    with (
        engine.connect().execution_options(sqlite_begin="IMMEDIATE") as connection,
        connection.begin(),
    ):
        if connection.dialect.name == "postgresql":
            connection.execute(sa.text("SELECT pg_advisory_xact_lock(:id)"), {"id": _LOCK_ID})
        _refuse_newer(connection)
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
    return head()


def head() -> str:
    """The revision this version works with."""
    revision = _scripts().get_current_head()
    if revision is None:
        raise SetupError("this installation has no migrations; install it again")
    return revision


def current(engine: sa.Engine) -> str | None:
    """The revision the store is at; None if it is empty."""
    with engine.connect() as connection:
        return MigrationContext.configure(connection).get_current_revision()


def check_schema(engine: sa.Engine) -> None:
    """Refuse to start on a schema that is not this version's.

    Raises:
        SetupError: with what to do about it.
    """
    with engine.connect() as connection:
        _refuse_newer(connection)
        revision = MigrationContext.configure(connection).get_current_revision()
    if revision != head():
        raise SetupError(
            f"the store's schema is at {revision or 'nothing yet'}, this version needs {head()}: "
            "run `overnight migrate`"
        )


def _refuse_newer(connection: sa.Connection) -> None:
    revision = MigrationContext.configure(connection).get_current_revision()
    known = {script.revision for script in _scripts().walk_revisions()}
    if revision is not None and revision not in known:
        raise SetupError(
            f"the store's schema ({revision}) is newer than this version of Overnight: "
            "install the version that made it, or a later one"
        )
