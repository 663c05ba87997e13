"""Usage of ten million calls: read from what was added up, in seconds of this process's time.

What is open is added up by the store as it is asked for: of a million calls, in seconds, too.
"""

import time
from datetime import date
from pathlib import Path

import sqlalchemy as sa

from app import migrations
from app.db import Store
from app.models import Batch
from app.reports.usage import UsageFilter, usage_report
from tests.factories import make_account
from tests.factories.bulk import make_big_batch
from tests.factories.rollups import make_rollups

CPU_MAX_S = 10.0


def test_ten_million_calls_are_shown_in_seconds(tmp_path: Path) -> None:
    store = Store(f"sqlite:///{tmp_path / 'usage.db'}")
    migrations.upgrade(store.engine)
    with store.transaction() as tx:
        account = make_account(tx)
    account_id = account.id
    calls = make_rollups(store, account_id, batches=1_800, calls_each=5_000)
    make_big_batch(store, account, 200_000, chars=1)
    with store.transaction() as tx:
        tx.run(sa.update(Batch).values(state="running", closed_at=None))
    calls += 1_000_000
    assert calls == 10_000_000
    began = time.process_time()
    with store.read() as session:
        found = usage_report(
            session,
            account_id,
            date(2026, 1, 1),
            date(2026, 12, 31),
            ["day", "model"],
            UsageFilter(),
        )
    took_s = time.process_time() - began
    store.close()
    assert sum(one.calls for one in found.totals) == calls
    assert len(found.data) == 100 * 4 + 5
    assert took_s < CPU_MAX_S, f"{took_s:.1f} s"
