"""Usage is read from what was added up, by its index, however many calls there were."""

from datetime import date

from app.db import Store
from app.models import Account
from app.reports.usage import UsageFilter, usage_report
from tests.factories import make_account
from tests.factories.bulk import analyze, make_big_batch
from tests.factories.rollups import make_rollups
from tests.integration.reports.test_query_plans import plan_of, recorded


def statements_for(store: Store, account_id: str) -> dict[str, object]:
    with recorded(store) as statements, store.read() as session:
        usage_report(
            session, account_id, date(2026, 1, 1), date(2026, 12, 31), ["day"], UsageFilter()
        )
    return statements


def test_usage_asks_no_call_of_a_closed_batch_and_goes_by_an_index(
    store: Store, account: Account
) -> None:
    with store.transaction() as tx:
        other = make_account(tx).id
    for owner in (account.id, other):
        make_rollups(store, owner, batches=200, calls_each=5000)
    make_big_batch(store, account, 1_000)
    analyze(store)
    statements = statements_for(store, account.id)
    # One for the batches that are open, of which there is none, and one for the rest.
    assert len(statements) == 2
    used: set[str] = set()
    for statement, parameters in statements.items():
        scans, indexes = plan_of(store, statement, parameters)
        # The index of open batches has no others in it, and may be read whole.
        assert scans <= {"batch"}, statement
        used |= indexes
        assert "call" not in statement.split("FROM")[1].split()[0]
    assert "ix_usage_rollup_account" in used
    assert used & {"ix_batch_open", "ix_batch_account"}
