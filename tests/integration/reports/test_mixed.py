"""A batch whose lines ask for different models: each is told of, and measured by who asked it."""

import msgspec
import pytest

from app.db import Store
from app.models import Account, Batch
from app.reports.details import details
from app.reports.leaderboard import report
from app.reports.owned import own_batch, plan_of
from app.reports.progress import batch_view
from app.reports.report_views import ReportView
from tests.factories import Answer, make_batch, make_call, make_job, make_verdict
from tests.factories.plans import make_judge_plan, make_mesh_plan, make_plan

A, B, C = "acme/a", "acme/b", "acme/c"
ONE, TWO = "jury/one", "jury/two"


@pytest.fixture
def mixed(store: Store, account: Account) -> Batch:
    """Two jobs ask A alone, two compare A with B before one judge, one A with C before another."""
    plan = msgspec.structs.replace(
        make_plan("chat", A),
        others=(make_judge_plan(A, B, judges=[ONE]), make_judge_plan(A, C, judges=[TWO])),
    )
    with store.transaction() as tx:
        batch = make_batch(tx, account, plan, mode="mixed", state="completed")
        for number, others in enumerate(((), (), (B,), (B,), (C,))):
            job = make_job(tx, batch, plan={"": 0, B: 1, C: 2}["".join(others)])
            for label in (A, *others):
                name = f"{label.removeprefix('acme/')}-{number % 2}"
                make_call(tx, job, label, answer=Answer(model_returned=name))
            if others:
                judge = ONE if B in others else TWO
                make_call(tx, job, judge, role="judge", round=2, answer=Answer())
                make_verdict(tx, job, {A: 5.0, others[0]: 7.0}, judge=judge)
    return batch


def report_of(store: Store, account: Account, batch: Batch) -> ReportView:
    with store.read() as session:
        return report(session, account.id, batch.id)


def test_every_model_is_in_the_leaderboard_by_the_jobs_that_ask_it(
    store: Store, account: Account, mixed: Batch
) -> None:
    rows = {row.label: row for row in report_of(store, account, mixed).leaderboard}
    assert {label: (row.answered, row.missing) for label, row in rows.items()} == {
        A: (5, 0),
        B: (2, 0),
        C: (1, 0),
    }
    assert [rows[label].coverage for label in (A, B, C)] == [0.6, 1.0, 1.0]


def test_a_judge_that_was_not_asked_did_not_abstain(
    store: Store, account: Account, mixed: Batch
) -> None:
    found = report_of(store, account, mixed)
    assert [(one.label, one.verdicts, one.abstained) for one in found.judges] == [
        (ONE, 2, 0),
        (TWO, 1, 0),
    ]


def test_everybody_is_told_of_as_returned(store: Store, account: Account, mixed: Batch) -> None:
    with store.read() as session:
        made = details(
            session, own_batch(session, account.id, mixed.id), plan_of(session, mixed.id)
        ).made
        view = batch_view(session, account.id, mixed.id)
    assert [(one.role, one.label, one.returned) for one in made] == [
        ("candidate", A, "a-0, a-1"),
        ("candidate", B, "b-0, b-1"),
        ("judge", ONE, "not told"),
        ("candidate", C, "c-0"),
        ("judge", TWO, "not told"),
    ]
    assert [one.label for one in view.models] == [A, B, C]
    assert [one.label for one in view.judges] == [ONE, TWO]


def test_a_model_that_others_fall_back_to_is_measured_by_where_they_did(
    store: Store, account: Account
) -> None:
    with store.transaction() as tx:
        batch = make_batch(tx, account, make_mesh_plan(A, B), state="completed")
        for fails in (True, False, False):
            job = make_job(tx, batch)
            make_call(tx, job, A, **({"state": "failed", "reason": "timeout"} if fails else {}))
            if fails:
                make_call(tx, job, B)
    found = report_of(store, account, batch)
    assert [(row.label, row.answered, row.failed, row.missing) for row in found.leaderboard] == [
        (A, 2, 1, 0),
        (B, 1, 0, 0),
    ]
