"""What a report says beyond the leaderboard: ratings, tests, and how far judges can be trusted."""

import random

import pytest

from app.db import Store
from app.domain.plan import Plan
from app.domain.verdict import CanaryResult, Comparison, JudgeScore, Preference
from app.models import Account
from app.reports.leaderboard import report
from app.reports.report_views import ReportView
from tests.factories import make_batch, make_job, make_verdict
from tests.factories.plans import make_judge_plan

A, B, C = "acme/a", "acme/b", "acme/c"
ONE, TWO = "jury/one", "jury/two"
PANEL = make_judge_plan(A, B, C, judges=[ONE, TWO])
CHARS = {A: 100, B: 100, C: 100}


def night(store: Store, account: Account, plan: Plan, *verdicts: dict) -> ReportView:
    """The report of a batch with a job for each verdict."""
    with store.transaction() as tx:
        batch = make_batch(tx, account, plan, state="completed")
        for verdict in verdicts:
            make_verdict(tx, make_job(tx, batch), **verdict)
    with store.read() as session:
        return report(session, account.id, batch.id)


def scored(draw: random.Random, **means: float) -> dict[str, float]:
    return {f"acme/{name}": draw.gauss(mean, 1) for name, mean in means.items()}


def test_the_better_is_rated_higher_with_intervals_and_found_better(
    store: Store, account: Account
) -> None:
    draw = random.Random(1)
    verdicts = [{"scores": scored(draw, a=8, b=6, c=6)} for _ in range(60)]
    found = night(store, account, make_judge_plan(A, B, C, judges=[ONE]), *verdicts)

    ratings = {row.label: row.rating for row in found.leaderboard}
    assert all(rating is not None for rating in ratings.values())
    assert ratings[A].low > ratings[B].high
    assert ratings[A].bootstrap_low == pytest.approx(ratings[A].low, abs=60)
    assert sum(rating.value for rating in ratings.values()) == pytest.approx(3000)
    tests = {(one.first, one.second): one for one in found.tests}
    assert tests[A, B].finding == "better"
    assert tests[A, B].prompts == 60
    assert tests[A, B].low < tests[A, B].difference < tests[A, B].high
    assert tests[A, B].p <= tests[A, B].p_adjusted < 0.05
    assert tests[B, C].finding != "better"
    assert found.wins.labels == [A, B, C]
    assert found.wins.comparisons[0] == [0, 60, 60]
    assert found.wins.shares[0][1] + found.wins.shares[1][0] == pytest.approx(1)
    assert found.wins.shares[0][0] is None


def test_a_missing_score_is_in_no_test_and_no_rating(store: Store, account: Account) -> None:
    both, alone = {A: 9.0, B: 5.0}, {A: 1.0, C: 2.0}
    found = night(store, account, PANEL, *[{"scores": both}] * 3, {"scores": alone})
    assert {(one.first, one.second): one.prompts for one in found.tests} == {
        (A, B): 3,
        (A, C): 1,
        (B, C): 0,
    }
    assert found.wins.comparisons == [[0, 3, 1], [3, 0, 0], [1, 0, 0]]
    ratings = {row.label: row.rating for row in found.leaderboard}
    assert all(rating.regularised for rating in ratings.values())


def test_those_who_never_met_are_in_groups_and_the_silent_have_no_rating(
    store: Store, account: Account
) -> None:
    plan = make_judge_plan(A, B, C, "acme/d", "acme/e", judges=[ONE])
    one, other = {A: 9.0, B: 9.0}, {C: 2.0, "acme/d": 2.0}
    found = night(store, account, plan, {"scores": one}, {"scores": other})
    ratings = {row.label: row.rating for row in found.leaderboard}
    assert ratings["acme/e"] is None
    assert [ratings[label].group for label in (A, B, C, "acme/d")] == [1, 1, 2, 2]
    assert any("not comparable" in note for note in found.notes)


def test_judges_agree_as_krippendorff_and_cohen_count_it(store: Store, account: Account) -> None:
    def spoke(one: tuple[float, ...], two: tuple[float, ...]) -> dict:
        given = [
            JudgeScore(judge, label, score)
            for judge, scores in ((ONE, one), (TWO, two))
            for label, score in zip((A, B, C), scores, strict=True)
        ]
        mean = {label: (x + y) / 2 for label, x, y in zip((A, B, C), one, two, strict=True)}
        return {"scores": mean, "judges": given}

    same = night(store, account, PANEL, spoke((9, 5, 1), (9, 5, 1)), spoke((1, 5, 9), (1, 5, 9)))
    assert (same.trust.alpha, same.trust.alpha_ordinal) == (1.0, 1.0)
    [pair] = same.trust.agreement
    assert (pair.first, pair.second, pair.agreed, pair.comparisons) == (ONE, TWO, 1.0, 6)
    assert pair.kappa == 1.0

    opposed = night(store, account, PANEL, spoke((9, 5, 1), (1, 5, 9)))
    assert opposed.trust.alpha < 0
    [pair] = opposed.trust.agreement
    assert (pair.agreed, pair.kappa) == (0.0, 0.0)


def test_a_pull_of_length_is_seen_and_taken_out_of_the_styled_rating(
    store: Store, account: Account
) -> None:
    """A and B are as good as each other, A is twice as long, and judges like it long."""
    draw, verdicts = random.Random(2), []
    for _ in range(200):
        chars = {
            A: int(400 * draw.lognormvariate(0, 0.6)),
            B: int(200 * draw.lognormvariate(0, 0.6)),
        }
        scores = {
            label: 5 + (count / 200) ** 0.5 + draw.gauss(0, 0.5) for label, count in chars.items()
        }
        verdicts.append({"scores": scores, "chars": chars, "judge": ONE})
    found = night(store, account, make_judge_plan(A, B, judges=[ONE]), *verdicts)
    assert found.trust.length_slope.low > 0
    assert found.trust.judges[0].length_slope.low > 0
    assert found.trust.length_effect.low > 0
    first, second = (row.rating for row in found.leaderboard)
    assert first.low > second.high
    assert first.styled_low < second.styled_high


def test_flips_and_canaries_are_counted_by_judge(store: Store, account: Account) -> None:
    kept = [Preference(A, A), Preference(B, A)]
    turned = [Preference(A, A), Preference(B, B)]
    torn = [Preference(A, A), Preference(B, None)]
    pairs = [Comparison(ONE, A, B, A, kept)] * 5
    pairs += [Comparison(ONE, A, B, None, turned), Comparison(ONE, A, B, None, torn)]
    verdicts = [
        {"scores": {A: 10.0, B: 0.0}, "pairs": [pair], "canaries": [CanaryResult(ONE, place == 0)]}
        for place, pair in enumerate(pairs)
    ]
    found = night(store, account, make_judge_plan(A, B, judges=[ONE]), *verdicts)
    [judge] = found.trust.judges
    assert judge.flip_rate.value == pytest.approx(2 / 7)
    assert judge.first_preferred == 0.5
    assert (judge.canaries, judge.fooled) == (7, 1)
    assert found.wins.shares[0][1] == pytest.approx(6 / 7)
    assert any("changed its mind" in note for note in found.notes)
    assert any("asked it for the win" in note for note in found.notes)


def test_a_panel_that_favours_its_own_is_seen_to(store: Store, account: Account) -> None:
    plan = make_judge_plan(A, B, judges=[A, ONE], allow_self=True)
    draw, verdicts = random.Random(3), []
    for _ in range(40):
        own = {A: draw.gauss(8, 0.5), B: draw.gauss(5, 0.5)}
        other = {A: draw.gauss(6, 0.5), B: draw.gauss(5, 0.5)}
        given = [JudgeScore(A, *one) for one in own.items()]
        given += [JudgeScore(ONE, *one) for one in other.items()]
        mean = {label: (own[label] + other[label]) / 2 for label in own}
        verdicts.append({"scores": mean, "judges": given})
    found = night(store, account, plan, *verdicts)
    by_label = {judge.label: judge.self_preference for judge in found.trust.judges}
    assert by_label[A].low < 2 < by_label[A].high
    assert by_label[A].low > 1
    assert by_label[ONE] is None


def test_what_a_cascade_decided_on_each_level_is_told(store: Store, account: Account) -> None:
    levels = ["checks", "judge", "judge", "panel"]
    verdicts = [{"scores": {A: 8.0, B: 2.0}, "decided_by": level} for level in levels]
    found = night(store, account, PANEL, *verdicts)
    assert [(one.level, one.decided) for one in found.levels] == [
        ("checks", 1),
        ("judge", 2),
        ("panel", 1),
    ]


def test_where_nothing_is_judged_there_is_nothing_of_it(store: Store, account: Account) -> None:
    found = night(store, account, PANEL)
    assert (found.wins, found.tests, found.trust, found.levels) == (None, [], None, [])
