"""Usage of ten million calls: read from what was added up, in seconds of this process's time."""

import time
from datetime import date
from pathlib import Path

from app import migrations
from app.db import Store
from app.reports.usage import UsageFilter, usage_report
from tests.factories import make_account
from tests.factories.rollups import make_rollups

CPU_MAX_S = 10.0


def test_ten_million_calls_are_shown_in_seconds(tmp_path: Path) -> None:
    store = Store(f"sqlite:///{tmp_path / 'usage.db'}")
    migrations.upgrade(store.engine)
    with store.transaction() as tx:
        account_id = make_account(tx).id
    calls = make_rollups(store, account_id, batches=2_000, calls_each=5_000)
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
    assert len(found.data) == 100 * 4
    assert took_s < CPU_MAX_S, f"{took_s:.1f} s"
