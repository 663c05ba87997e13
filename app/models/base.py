"""What every table shares: ids, times that are aware on both stores, and checked states."""

from collections.abc import Iterable
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import BigInteger, CheckConstraint, DateTime, String, Text
from sqlalchemy.engine import Dialect
from sqlalchemy.types import TypeDecorator
from sqlmodel import SQLModel
from typing_extensions import override


class UTCDateTime(TypeDecorator[datetime]):
    """A moment in UTC: `timestamptz` on PostgreSQL, sortable text on SQLite; always aware here."""

    impl = DateTime(timezone=True)
    cache_ok = True

    @override
    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a naive datetime cannot be stored")
        return value.astimezone(UTC)

    @override
    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


#: Ids and other machine words compare by byte on both stores, which is also what makes
#: "in the order of their ids" the same order everywhere.
Id: Any = String(64).with_variant(String(64, collation="C"), "postgresql")
Word: Any = String(100).with_variant(String(100, collation="C"), "postgresql")
Nanos: Any = BigInteger()
LongText: Any = Text()


def check_state(
    column: str, states: Iterable[StrEnum], *, nullable: bool = False
) -> CheckConstraint:
    """A CHECK that a column holds one of the enum's values."""
    values = ", ".join(f"'{state.value}'" for state in states)
    empty = f"{column} IS NULL OR " if nullable else ""
    return CheckConstraint(f"{empty}{column} IN ({values})", name=f"{column}_known")


NAMING = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_name)s",
    "pk": "pk_%(table_name)s",
}
SQLModel.metadata.naming_convention = NAMING


class Table(SQLModel):
    """The root of every table."""
