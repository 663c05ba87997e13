"""A worker's lease."""

from datetime import timedelta

from sqlmodel import select

from app.db import Store
from app.models import Worker
from workers.lease import Lease


class Clock:
    """A clock that is moved by hand."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def make_lease(store: Store, clock: Clock) -> Lease:
    """A registered lease of 20 s that nobody renews in the background."""
    lease = Lease(store, 20, clock)
    lease._register()
    return lease


def test_a_renewed_lease_stays_good(store: Store) -> None:
    clock = Clock()
    lease = make_lease(store, clock)
    for _ in range(10):
        clock.now += 5
        lease.renew()
        assert lease.is_good
    lease.stop()


def test_a_worker_whose_renewal_is_late_knows_it_by_itself(store: Store) -> None:
    clock = Clock()
    lease = make_lease(store, clock)
    clock.now += 17
    assert lease.is_good
    clock.now += 2
    assert not lease.is_good


def test_a_lease_that_passed_is_never_renewed_but_replaced(store: Store) -> None:
    lease = make_lease(store, Clock())
    first = lease.worker_id
    with store.transaction() as tx:
        worker = tx.get_one(Worker, first)
        worker.lease_until = worker.lease_until - timedelta(minutes=1)
    lease.renew()
    assert lease.worker_id != first
    assert lease.is_good


def test_a_worker_that_ends_leaves_no_row(store: Store) -> None:
    lease = make_lease(store, Clock())
    lease.stop()
    assert not lease.is_good
    with store.read() as session:
        assert session.exec(select(Worker)).all() == []
