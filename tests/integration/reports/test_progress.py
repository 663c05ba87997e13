"""A batch's view adds up, whatever state it is in."""

from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from app.db import Store
from app.domain.errors import NotFoundError
from app.models import Account, Batch
from app.reports.progress import batch_view, list_batches
from app.reports.views import BatchView, JobCounts, ModelView
from tests.factories import make_batch, make_call, make_job
from tests.factories.plans import make_judge_plan, make_plan, make_variant


def view_of(store: Store, account: Account, batch: Batch) -> BatchView:
    with store.read() as session:
        return batch_view(session, account.id, batch.id)


def ago(store: Store, seconds: float) -> datetime:
    with store.read() as session:
        return store.now(session) - timedelta(seconds=seconds)


def test_jobs_are_counted_by_state(store: Store, account: Account) -> None:
    with store.transaction() as tx:
        batch = make_batch(tx, account)
        for state, count in {"queued": 3, "running": 2, "succeeded": 4, "failed": 1}.items():
            for _ in range(count):
                make_job(tx, batch, state=state)
        make_job(tx, batch, state="cancelled")
        make_job(tx, batch, state="expired")
    assert view_of(store, account, batch).counts.jobs == JobCounts(
        total=12, queued=3, running=2, succeeded=4, failed=1, cancelled=1, expired=1
    )


def test_a_batch_that_was_not_planned_yet_has_only_queued_jobs(
    store: Store, account: Account
) -> None:
    with store.transaction() as tx:
        batch = make_batch(tx, account, state="queued", started_at=None)
        for _ in range(3):
            make_job(tx, batch, state="queued")
    view = view_of(store, account, batch)
    assert (view.counts.jobs.queued, view.counts.jobs.running) == (3, 0)
    assert (view.started_at, view.eta_s) == (None, None)


def test_money_is_exact_in_nanodollars_and_in_dollars(store: Store, account: Account) -> None:
    with store.transaction() as tx:
        batch = make_batch(
            tx,
            account,
            cap_nanos=5_000_000_000,
            spent_nanos=1_234_500_000,
            reserved_nanos=7,
            unpriced_calls=2,
            unknown_attempts=1,
            possible_duplicate_nanos=400,
        )
    cost = view_of(store, account, batch).cost
    assert (cost.spent_nanos, cost.spent_usd) == (1_234_500_000, "1.2345")
    assert (cost.cap_nanos, cost.reserved_nanos, cost.overrun_nanos) == (5_000_000_000, 7, 0)
    assert (cost.unpriced_calls, cost.unknown_attempts) == (2, 1)
    assert cost.possible_duplicate_nanos == 400


def test_what_the_client_asked_for_is_shown(store: Store, account: Account) -> None:
    plan = make_judge_plan(
        make_variant("acme/a", label="cool", temperature=0.1), "acme/b", judges=["jury/one"]
    )
    with store.transaction() as tx:
        batch = make_batch(tx, account, plan, name="nightly", priority=9, metadata={"team": "x"})
    view = view_of(store, account, batch)
    assert (view.id, view.object, view.mode, view.name) == (batch.id, "batch", "judge", "nightly")
    assert view.models == [
        ModelView(label="cool", model="acme/a"),
        ModelView(label="acme/b", model="acme/b"),
    ]
    assert view.judges == [ModelView(label="jury/one", model="jury/one")]
    assert (view.priority, view.metadata) == (9, {"team": "x"})


def test_moments_are_in_utc_on_the_wire(store: Store, account: Account) -> None:
    with store.transaction() as tx:
        at = datetime(2026, 3, 1, 22, 30, tzinfo=UTC)
        batch = make_batch(tx, account, created_at=at, deadline=at + timedelta(hours=24, seconds=1))
    wire = msgspec.json.decode(msgspec.json.encode(view_of(store, account, batch)))
    assert wire["created_at"] == "2026-03-01T22:30:00Z"
    assert wire["deadline"] == "2026-03-02T22:30:01Z"
    assert wire["closed_at"] is None


def test_the_time_left_follows_from_the_pace_so_far(store: Store, account: Account) -> None:
    with store.transaction() as tx:
        batch = make_batch(tx, account, started_at=ago(store, 100))
        for _ in range(5):
            job = make_job(tx, batch)
            make_call(tx, job, "simulated/a")
            make_call(tx, job, "simulated/b")
        for _ in range(15):
            make_job(tx, batch, state="queued")
    # 10 calls in 100 s; 15 jobs of 2 calls each are left.
    eta_s = view_of(store, account, batch).eta_s
    assert eta_s is not None
    assert 300 <= eta_s <= 330


def test_judges_count_towards_the_time_left_before_they_are_asked(
    store: Store, account: Account
) -> None:
    with store.transaction() as tx:
        plan = make_judge_plan("simulated/a", "simulated/b", judges=["simulated/judge"])
        batch = make_batch(tx, account, plan, started_at=ago(store, 100))
        job = make_job(tx, batch, state="running")
        make_call(tx, job, "simulated/a")
        make_call(tx, job, "simulated/b")
    # 2 calls in 100 s; only the judge's is left.
    eta_s = view_of(store, account, batch).eta_s
    assert eta_s is not None
    assert 50 <= eta_s <= 60


@pytest.mark.parametrize(
    "change", [{"paused": True}, {"ending": "cancelled"}, {"state": "completed"}]
)
def test_there_is_no_time_left_where_no_pace_says_so(
    store: Store, account: Account, change: dict[str, object]
) -> None:
    closed_at = ago(store, 0) if "state" in change else None
    with store.transaction() as tx:
        batch = make_batch(tx, account, closed_at=closed_at, **change)
        make_call(tx, make_job(tx, batch))
        make_job(tx, batch, state="queued")
    assert view_of(store, account, batch).eta_s is None


def test_nothing_closed_says_nothing_about_the_time_left(store: Store, account: Account) -> None:
    with store.transaction() as tx:
        batch = make_batch(tx, account)
        make_job(tx, batch, state="queued")
    assert view_of(store, account, batch).eta_s is None


def test_another_account_s_batch_is_as_unknown_as_none(
    store: Store, account: Account, stranger: Account
) -> None:
    with store.transaction() as tx:
        batch = make_batch(tx, account)
    with store.read() as session:
        with pytest.raises(NotFoundError, match=f"^there is no batch '{batch.id}'$"):
            batch_view(session, stranger.id, batch.id)
        with pytest.raises(NotFoundError, match="^there is no batch 'batch_none'$"):
            batch_view(session, account.id, "batch_none")


def test_batches_are_listed_newest_first_by_the_page(
    store: Store, account: Account, stranger: Account
) -> None:
    with store.transaction() as tx:
        made = [make_batch(tx, account, make_plan("chat", "simulated/a")).id for _ in range(5)]
        make_batch(tx, stranger)
    newest_first = made[::-1]
    with store.read() as session:
        first, cursor = list_batches(session, account.id, limit=2)
        second, cursor = list_batches(session, account.id, after=cursor, limit=2)
        last, end = list_batches(session, account.id, after=cursor, limit=2)
    assert [[view.id for view in page] for page in (first, second, last)] == [
        newest_first[:2],
        newest_first[2:4],
        newest_first[4:],
    ]
    assert end is None


def test_a_page_that_holds_all_is_the_last(store: Store, account: Account) -> None:
    with store.transaction() as tx:
        make_batch(tx, account)
    with store.read() as session:
        page, cursor = list_batches(session, account.id, limit=1)
    assert (len(page), cursor) == (1, None)
