"""A retry is read together with what it retries."""

import json

import pytest
from sqlmodel import select

from app.db import Store
from app.models import Account, Batch, Job
from app.reports.results import Selection, result_page, stream_results
from tests.factories import NIGHT, make_batch, make_job

Outcomes = dict[str, str]
JOINED = Selection(joined=True)


def make_chain(store: Store, account: Account, *runs: Outcomes) -> list[Batch]:
    """Batches that each retry the one before; each has these jobs, in these states."""
    batches: list[Batch] = []
    names: list[str] = []
    with store.transaction() as tx:
        for run in runs:
            older = batches[-1].id if batches else None
            batches.append(make_batch(tx, account, retry_of=older))
            for custom_id, state in run.items():
                place = names.index(custom_id) if older else None
                make_job(tx, batches[-1], custom_id=custom_id, state=state, retry_of=place)
            names = list(run)
    return batches


def states(store: Store, account: Account, batch: Batch, selection: Selection = JOINED) -> Outcomes:
    text = b"".join(stream_results(store, account.id, batch.id, selection))
    lines = [json.loads(line) for line in text.splitlines()]
    return {line["custom_id"]: line["state"] for line in lines}


def test_each_job_is_shown_as_the_newest_batch_has_it_in_the_order_of_the_oldest(
    store: Store, account: Account
) -> None:
    chain = make_chain(
        store,
        account,
        {"q1": "failed", "q2": "succeeded", "q3": "expired", "q4": "failed"},
        {"q1": "failed", "q3": "succeeded", "q4": "cancelled"},
        {"q1": "succeeded", "q4": "failed"},
    )
    joined = states(store, account, chain[2])
    assert list(joined) == ["q1", "q2", "q3", "q4"]
    assert list(joined.values()) == ["succeeded", "succeeded", "succeeded", "failed"]


def test_a_batch_in_the_middle_does_not_know_of_later_ones(store: Store, account: Account) -> None:
    chain = make_chain(store, account, {"q1": "failed"}, {"q1": "expired"}, {"q1": "succeeded"})
    assert states(store, account, chain[1]) == {"q1": "expired"}


def test_two_retries_of_one_batch_do_not_mix(store: Store, account: Account) -> None:
    first, second = make_chain(store, account, {"q1": "failed"}, {"q1": "succeeded"})
    with store.transaction() as tx:
        other = make_batch(tx, account, retry_of=first.id)
        make_job(tx, other, custom_id="q1", state="cancelled", retry_of=0)
    assert states(store, account, second) == {"q1": "succeeded"}
    assert states(store, account, other) == {"q1": "cancelled"}


@pytest.mark.parametrize(
    ("only_closed", "seen"),
    [(False, {"q1": "running", "q2": "succeeded"}), (True, {"q2": "succeeded"})],
)
def test_a_retry_under_way_is_unfinished(
    store: Store, account: Account, seen: Outcomes, *, only_closed: bool
) -> None:
    chain = make_chain(store, account, {"q1": "failed", "q2": "succeeded"}, {"q1": "running"})
    selection = Selection(only_closed=only_closed, joined=True)
    assert states(store, account, chain[1], selection) == seen


def test_pages_of_joined_results_follow_the_oldest_batch_s_positions(
    store: Store, account: Account
) -> None:
    chain = make_chain(
        store, account, {"q1": "succeeded", "q2": "failed", "q3": "failed"}, {"q3": "succeeded"}
    )
    with store.read() as session:
        first, cursor = result_page(session, account.id, chain[1].id, -1, 2, JOINED)
        second, end = result_page(session, account.id, chain[1].id, cursor or 0, 2, JOINED)
    assert ([line.custom_id for line in first], cursor) == (["q1", "q2"], 1)
    assert ([(line.custom_id, line.state) for line in second], end) == ([("q3", "succeeded")], None)


def test_without_joining_only_the_batch_itself_is_read(store: Store, account: Account) -> None:
    chain = make_chain(store, account, {"q1": "succeeded", "q2": "failed"}, {"q2": "succeeded"})
    assert states(store, account, chain[1], Selection()) == {"q2": "succeeded"}


def test_what_is_no_longer_there_ends_the_chain(store: Store, account: Account) -> None:
    with store.transaction() as tx:
        batch = make_batch(tx, account, retry_of="batch_purged")
        make_job(tx, batch, custom_id="q9")
    assert states(store, account, batch) == {"q9": "succeeded"}


def test_e4_a_joined_stream_is_of_the_moment_it_began(store: Store, account: Account) -> None:
    older = {"q1": "failed", "q2": "succeeded", "q3": "failed"}
    _, newest = make_chain(store, account, older, {"q1": "succeeded", "q3": "running"})
    pieces = stream_results(store, account.id, newest.id, JOINED)
    with store.transaction() as tx:
        job = tx.exec(select(Job).where(Job.batch_id == newest.id, Job.custom_id == "q3")).one()
        job.state, job.closed_at = "succeeded", NIGHT
    seen = {
        one["custom_id"]: one["state"] for one in map(json.loads, b"".join(pieces).splitlines())
    }
    assert seen == {"q1": "succeeded", "q2": "succeeded", "q3": "running"}
    assert states(store, account, newest)["q3"] == "succeeded"
