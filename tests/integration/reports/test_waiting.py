"""What a batch waits for is read off the store."""

from datetime import datetime, timedelta
from typing import Any

import pytest

from app.db import Store
from app.domain.ids import Prefix, new_id
from app.models import Account, Batch, Lane
from app.reports.progress import batch_view
from app.reports.views import WaitingOn
from tests.factories import lane_of, make_backlog, make_batch, make_call, make_job, make_lane


def waits(store: Store, account: Account, batch: Batch) -> WaitingOn | None:
    with store.read() as session:
        return batch_view(session, account.id, batch.id).waiting_on


def soon(store: Store) -> datetime:
    with store.read() as session:
        return store.now(session) + timedelta(minutes=5)


def make_waiting(
    store: Store, account: Account, *, call: dict[str, Any], backlog: dict[str, Any], **batch: Any
) -> tuple[Batch, Lane]:
    """A batch with one queued call of model a, and its line in the backlog."""
    with store.transaction() as tx:
        made = make_batch(tx, account, **batch)
        lane = lane_of(tx, account.id, "simulated")
        make_call(tx, make_job(tx, made, state="running"), state="queued", **call)
        make_backlog(tx, made, lane, "a", **backlog)
    return made, lane


def test_a_batch_that_can_go_on_waits_for_nothing(store: Store, account: Account) -> None:
    batch, _ = make_waiting(store, account, call={}, backlog={})
    assert waits(store, account, batch) is None


def test_a_paused_batch_waits_for_its_client(store: Store, account: Account) -> None:
    batch, _ = make_waiting(store, account, call={}, backlog={}, paused=True)
    assert waits(store, account, batch) == WaitingOn(reason="paused")


def test_a_start_time_is_waited_for_until_it_is_reached(store: Store, account: Account) -> None:
    starts = soon(store)
    with store.transaction() as tx:
        later = make_batch(tx, account, state="queued", not_before=starts)
        begun = make_batch(tx, account, not_before=starts - timedelta(hours=1))
    assert waits(store, account, later) == WaitingOn(reason="not_before", until=starts)
    assert waits(store, account, begun) is None


def test_a_parked_lane_is_named(store: Store, account: Account) -> None:
    with store.transaction() as tx:
        make_lane(tx, account, state="parked", parked_reason="401")
    batch, lane = make_waiting(store, account, call={}, backlog={})
    assert waits(store, account, batch) == WaitingOn(reason="lane_parked", lane=lane.id)


def test_another_batch_s_parked_lane_is_none_of_its_business(
    store: Store, account: Account
) -> None:
    with store.transaction() as tx:
        parked = make_lane(tx, account, "openai", state="parked")
        other = make_batch(tx, account)
        make_backlog(tx, other, parked, "gpt-4o")
    batch, _ = make_waiting(store, account, call={}, backlog={})
    assert waits(store, account, batch) is None
    assert waits(store, account, other) == WaitingOn(reason="lane_parked", lane=parked.id)


@pytest.mark.parametrize(("worst_nanos", "reason"), [(30, None), (31, "budget")])
def test_a_budget_without_room_for_the_next_call_is_waited_for(
    store: Store, account: Account, worst_nanos: int, reason: str | None
) -> None:
    budget = {"cap_nanos": 100, "spent_nanos": 50, "reserved_nanos": 20}
    call = {"worst_nanos": worst_nanos}
    batch, _ = make_waiting(store, account, call=call, backlog={}, **budget)
    found = waits(store, account, batch)
    assert (found.reason if found else None) == reason


def test_a_budget_with_room_for_another_model_is_not_waited_for(
    store: Store, account: Account
) -> None:
    batch, lane = make_waiting(store, account, call={"worst_nanos": 200}, backlog={}, cap_nanos=100)
    with store.transaction() as tx:
        job = make_job(tx, batch, state="running")
        make_call(tx, job, "simulated/b", state="queued", worst_nanos=90)
        make_backlog(tx, batch, lane, "b")
    assert waits(store, account, batch) is None


def test_a_rate_limit_is_waited_for_until_the_calls_are_due(store: Store, account: Account) -> None:
    due = soon(store)
    backlog = {"due_at": due, "wait_reason": "rate_limited"}
    batch, lane = make_waiting(store, account, call={"due_at": due}, backlog=backlog)
    assert waits(store, account, batch) == WaitingOn(reason="rate_limited", until=due, lane=lane.id)


def test_the_reason_is_the_call_s_own_where_the_backlog_has_none(
    store: Store, account: Account
) -> None:
    due = soon(store)
    call = {"due_at": due, "wait_reason": "backoff"}
    batch, lane = make_waiting(store, account, call=call, backlog={"due_at": due})
    assert waits(store, account, batch) == WaitingOn(reason="backoff", until=due, lane=lane.id)


def test_the_line_that_is_due_first_says_until_when(store: Store, account: Account) -> None:
    due = soon(store)
    backlog = {"due_at": due + timedelta(minutes=1), "wait_reason": "backoff"}
    batch, lane = make_waiting(store, account, call={}, backlog=backlog)
    with store.transaction() as tx:
        make_backlog(tx, batch, lane, "b", due_at=due, wait_reason="rate_limited")
    assert waits(store, account, batch) == WaitingOn(reason="rate_limited", until=due, lane=lane.id)


def test_a_batch_with_a_call_in_flight_does_not_wait(store: Store, account: Account) -> None:
    backlog = {"due_at": soon(store), "wait_reason": "backoff"}
    batch, _ = make_waiting(store, account, call={}, backlog=backlog)
    with store.transaction() as tx:
        job = make_job(tx, batch, state="running")
        make_call(tx, job, state="sending", worker_id=new_id(Prefix.WORKER))
    assert waits(store, account, batch) is None


@pytest.mark.parametrize("change", [{"state": "completed"}, {"ending": "cancelled"}])
def test_a_batch_that_ends_waits_for_nothing(
    store: Store, account: Account, change: dict[str, str]
) -> None:
    batch, _ = make_waiting(store, account, call={}, backlog={}, paused=True, **change)
    assert waits(store, account, batch) is None
