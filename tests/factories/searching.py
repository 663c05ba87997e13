"""Everything a store holds, to be searched for what must not be there."""

from collections.abc import Iterator

import sqlalchemy as sa

from app.db import Store


def rows_of(store: Store) -> Iterator[tuple[str, str]]:
    """Every row of every table, as text, with the table's name."""
    tables = sa.MetaData()
    tables.reflect(store.engine)
    with store.engine.connect() as connection:
        for name, table in tables.tables.items():
            for row in connection.execute(sa.select(table)):
                yield name, repr(tuple(row))


def tables_with(store: Store, *texts: str) -> set[str]:
    """The tables in which one of these texts can be read."""
    return {name for name, row in rows_of(store) if any(text in row for text in texts)}
