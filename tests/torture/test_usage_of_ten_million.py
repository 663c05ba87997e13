"""Usage of ten million calls: read from what was added up, not from the calls.

What is open is added up by the store as it is asked for, in one pass over its calls. Measured in
the instructions of SQLite's machine, which are the same on a slow computer.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlmodel import Session

from app import migrations
from app.db import Store
from app.models import Batch
from app.reports.usage import UsageFilter, usage_report
from tests.factories import make_account
from tests.factories.bulk import make_big_batch
from tests.factories.rollups import make_rollups

#: Instructions of its machine between two looks of SQLite at who counts them.
_STEP = 10_000
#: Each open call is read once, sorted, and added up.
OPEN_CALLS, INSTRUCTIONS_A_CALL_MAX = 1_000_000, 100


def test_ten_million_calls_are_shown_without_reading_those_that_are_closed(tmp_path: Path) -> None:
    store = Store(f"sqlite:///{tmp_path / 'usage.db'}")
    migrations.upgrade(store.engine)
    with store.transaction() as tx:
        account = make_account(tx)
    account_id = account.id
    calls = make_rollups(store, account_id, batches=1_800, calls_each=5_000)
    make_big_batch(store, account, OPEN_CALLS // 5, chars=1)
    with store.transaction() as tx:
        tx.run(sa.update(Batch).values(state="running", closed_at=None))
    calls += OPEN_CALLS
    assert calls == 10_000_000
    with store.read() as session, counted(session) as steps:
        found = usage_report(
            session,
            account_id,
            date(2026, 1, 1),
            date(2026, 12, 31),
            ["day", "model"],
            UsageFilter(),
        )
    store.close()
    assert sum(one.calls for one in found.totals) == calls
    assert len(found.data) == 100 * 4 + 5
    assert len(steps) * _STEP < INSTRUCTIONS_A_CALL_MAX * OPEN_CALLS


@contextmanager
def counted(session: Session) -> Iterator[list[None]]:
    """Something for each so many instructions that SQLite takes in this block."""
    seen: list[None] = []
    connection: Any = session.connection().connection.driver_connection
    connection.set_progress_handler(lambda: seen.append(None), _STEP)
    try:
        yield seen
    finally:
        connection.set_progress_handler(None, 0)
