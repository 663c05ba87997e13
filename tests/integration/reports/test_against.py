"""A batch against another, job by job, with every number worked out by hand."""

import pytest
from scipy import stats

from app.db import Store
from app.domain.errors import GoneError, InvalidRequestError, NotFoundError
from app.domain.plan import Plan
from app.models import Account, Batch
from app.reports.against import gather_both, lay_out_both
from app.reports.against_views import AgainstView
from tests.factories import Answer, make_batch, make_call, make_job, make_verdict
from tests.factories.plans import make_judge_plan, make_plan

A, B, C, JUDGE = "acme/a", "acme/b", "acme/c", "jury/one"
PLAN = make_judge_plan(A, B, judges=[JUDGE])


def night(
    store: Store, account: Account, *scores: dict[str, float], plan: Plan = PLAN, **values: str
) -> Batch:
    """A closed batch; of a label without a score the call failed."""
    with store.transaction() as tx:
        batch = make_batch(tx, account, plan, state="completed", **values)
        for place, given in enumerate(scores):
            job = make_job(tx, batch, f"Question {place}?")
            for variant in plan.variants:
                if variant.label in given:
                    cost = 1_000 + 100 * int(given[variant.label])
                    answer = Answer(cost_nanos=cost, latency_ms=10 * cost)
                    make_call(tx, job, variant.label, answer=answer)
                else:
                    make_call(tx, job, variant.label, state="failed", reason="timeout")
            if plan.judge is not None:
                make_verdict(tx, job, given, judge=JUDGE)
    return batch


def against(store: Store, account: Account, here: Batch, there: Batch) -> AgainstView:
    with store.read() as session:
        sides = gather_both(session, account.id, here.id, there.id)
    return lay_out_both(sides)


def test_the_same_custom_id_is_the_same_job(store: Store, account: Account) -> None:
    before = night(store, account, {A: 5, B: 7}, {A: 4, B: 7}, {A: 5, B: 7}, {A: 6}, {A: 1, B: 1})
    after = night(store, account, {A: 8, B: 7}, {A: 8, B: 7}, {A: 7, B: 7}, {A: 8, B: 7})
    found = against(store, account, after, before)

    assert (found.batch.batch_id, found.against.batch_id) == (after.id, before.id)
    assert (found.batch.judged, found.against.judged) == (4, 5)
    assert (found.jobs, found.only_here, found.only_there, found.other_prompts) == (4, 0, 1, 0)
    first, second = found.rows
    assert (first.label, first.score, first.against_score) == (A, 7.75, 5.0)
    test = first.test
    # 3, 4, 2 and 2 points more.
    assert (test.difference, test.prompts) == (2.75, 4)
    assert test.p == pytest.approx(stats.ttest_1samp([3, 4, 2, 2], 0).pvalue)
    assert test.low == pytest.approx(2.75 - stats.t.ppf(0.975, 3) * 0.9574271 / 2)
    assert (test.finding, second.test.finding) == ("better", "unclear")
    # Two tests by Holm's method; B's, without any difference, is 1.
    assert test.p_adjusted == pytest.approx(2 * test.p)
    assert (second.asked, second.answered, second.against_answered) == (4, 4, 3)
    assert (second.gained, second.lost, second.p_answered) == (1, 0, 1.0)
    assert second.test.prompts == 3
    assert first.cost_nanos.value == 275
    assert first.latency_ms.value == 2750
    assert any("1 job of the other batch cannot be paired" in note for note in found.notes)


def test_who_has_no_namesake_is_compared_where_each_batch_has_one(
    store: Store, account: Account
) -> None:
    before = night(store, account, *[{A: 5, B: 6}] * 3)
    after = night(store, account, *[{A: 5, C: 8}] * 3, plan=make_judge_plan(A, C, judges=[JUDGE]))
    found = against(store, account, after, before)
    assert [(row.label, row.against_label) for row in found.rows] == [(A, A), (C, B)]
    assert found.rows[1].test.difference == 2
    assert (found.labels_only_here, found.labels_only_there) == ([], [])
    alone = night(store, account, {A: 5}, plan=make_plan("chat", A))
    found = against(store, account, after, alone)
    assert [row.label for row in found.rows] == [A]
    assert (found.labels_only_here, found.labels_only_there) == ([C], [])
    assert found.rows[0].test is None
    assert any("Only one of the two was judged" in note for note in found.notes)


def test_what_is_not_in_common_leaves_nothing_to_compare(store: Store, account: Account) -> None:
    here = night(store, account, {A: 5, B: 6})
    with store.transaction() as tx:
        there = make_batch(tx, account, PLAN)
        make_call(tx, make_job(tx, there, custom_id="other"), A)
    found = against(store, account, here, there)
    assert (found.jobs, found.only_here, found.only_there) == (0, 1, 1)
    assert [(row.test, row.asked, row.cost_nanos) for row in found.rows] == [(None, 0, None)] * 2
    assert any("no custom_id in common" in note for note in found.notes)


def test_jobs_that_ask_something_else_are_counted(store: Store, account: Account) -> None:
    here = night(store, account, {A: 5, B: 6}, {A: 5, B: 6})
    with store.transaction() as tx:
        there = make_batch(tx, account, PLAN)
        make_job(tx, there, "Question 0?")
        make_job(tx, there, "Question 1?", reference="42")
    found = against(store, account, here, there)
    assert (found.jobs, found.other_prompts) == (2, 1)


def test_either_batch_of_another_account_is_as_unknown_as_none(
    store: Store, account: Account, stranger: Account
) -> None:
    mine, theirs = night(store, account, {A: 5, B: 6}), night(store, stranger, {A: 5, B: 6})
    for pair in ((mine, theirs), (theirs, mine)):
        with pytest.raises(NotFoundError, match=f"^there is no batch '{theirs.id}'$"):
            against(store, account, *pair)


def test_a_batch_is_not_compared_with_itself_nor_with_what_is_gone(
    store: Store, account: Account
) -> None:
    here = night(store, account, {A: 5, B: 6})
    with pytest.raises(InvalidRequestError, match="same batch"):
        against(store, account, here, here)
    gone = night(store, account, {A: 5, B: 6}, gone_reason="purged")
    with pytest.raises(GoneError):
        against(store, account, here, gone)
