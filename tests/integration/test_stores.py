"""Every test that asks for a store gets one of its own, with the whole schema."""

import pytest
import sqlalchemy as sa

from app import migrations
from app.db import Store


def test_a_store_has_the_schema_of_this_version(store: Store) -> None:
    migrations.check_schema(store.engine)


@pytest.mark.parametrize("turn", [1, 2])
def test_a_store_is_not_shared_between_tests(store: Store, turn: int) -> None:
    with store.transaction() as tx:
        connection = tx.connection()
        assert not sa.inspect(connection).has_table("left_behind"), f"in turn {turn}"
        connection.execute(sa.text("CREATE TABLE left_behind (turn integer)"))
