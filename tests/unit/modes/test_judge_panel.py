"""A panel's verdict is the mean of its judges', and says where it is none."""

from app.domain.verdict import JudgeScore, Verdict
from app.modes.judge_panel import panel_verdict
from app.modes.judge_verdict import ReadVerdict
from tests.factories.plans import make_judge_plan

PANEL = make_judge_plan(
    "acme/a", "acme/b", "acme/c", judges=("jury/one", "jury/two", "acme/a"), allow_self=True
)


def spoke(judge: str, overall: str = "", **scores: float) -> tuple[str, ReadVerdict]:
    given = [JudgeScore(judge, f"acme/{name}", score, f"{name}!") for name, score in scores.items()]
    return judge, ReadVerdict(tuple(given), overall)


def verdict(*spoken: tuple[str, ReadVerdict], abstained: int = 0, addressing=()) -> Verdict:
    return panel_verdict(PANEL, dict(spoken), abstained=abstained, addressing=addressing)


def test_the_score_is_the_mean_of_the_judges_and_the_best_mean_wins():
    panel = verdict(spoke("jury/one", a=8, b=6, c=1), spoke("jury/two", a=5, b=9, c=2))
    assert [(score.label, score.score, score.rank) for score in panel.scores] == [
        ("acme/b", 7.5, 1),
        ("acme/a", 6.5, 2),
        ("acme/c", 1.5, 3),
    ]
    assert panel.winner == "acme/b"


def test_what_each_judge_said_is_kept_in_the_order_of_the_plan():
    panel = verdict(spoke("jury/one", c=1, b=6, a=8), spoke("jury/two", "No doubt.", a=5, c=2, b=9))
    assert [(score.judge, score.label) for score in panel.judges] == [
        (judge, label)
        for judge in ("jury/one", "jury/two")
        for label in ("acme/a", "acme/b", "acme/c")
    ]
    assert panel.scores[0].reasoning == "jury/one: b!\njury/two: b!"
    assert panel.overall == "jury/two: No doubt."


def test_a_lone_judges_words_stand_as_they_are():
    panel = verdict(spoke("jury/one", "Clear.", a=8, b=6))
    assert (panel.overall, panel.scores[0].reasoning) == ("Clear.", "a!")


def test_the_best_share_a_rank_and_nobody_wins_where_they_are_tied():
    panel = verdict(spoke("jury/one", a=7.1, b=7.2, c=1), spoke("jury/two", a=7.3, b=7.2, c=1))
    assert panel.winner is None
    assert [(score.label, score.rank) for score in panel.scores] == [
        ("acme/a", 1),
        ("acme/b", 1),
        ("acme/c", 3),
    ]


def test_a_tie_behind_the_best_takes_the_win_from_nobody():
    panel = verdict(spoke("jury/one", a=2, b=2, c=3))
    assert panel.winner == "acme/c"
    assert [score.rank for score in panel.scores] == [1, 2, 2]


def test_a_contestant_nobody_was_shown_has_no_score():
    panel = verdict(spoke("jury/one", a=2, c=3))
    assert {score.label for score in panel.scores} == {"acme/a", "acme/c"}


def test_judges_who_all_abstain_leave_no_winner_and_no_score():
    assert verdict(abstained=3) == Verdict(winner=None, scores=[], abstained=3)


def test_a_contestant_judged_by_its_own_model_is_marked():
    panel = verdict(spoke("jury/one", a=2, b=3), spoke("acme/a", a=9, b=1))
    assert {score.label: score.self_judged for score in panel.scores} == {
        "acme/a": True,
        "acme/b": False,
    }


def test_a_judge_who_abstained_marks_nobody():
    panel = verdict(spoke("jury/one", a=2, b=3), abstained=1)
    assert not any(score.self_judged for score in panel.scores)


def test_j1_an_answer_that_speaks_to_the_judge_is_marked_and_its_score_left_alone():
    panel = verdict(spoke("jury/one", a=9, b=3), addressing={"acme/a"})
    assert [(score.score, score.addresses_judge) for score in panel.scores] == [
        (9.0, True),
        (3.0, False),
    ]
