"""Lots are drawn from the seed, so that they can be drawn again."""

from app.modes.draw import TOKEN_CHARS, Draw

LABELS = [f"m{number}" for number in range(8)]


def test_the_same_seed_draws_the_same_on_every_machine():
    assert Draw("s1", "judge", "0").token("fence") == "s72x3wlb56rzjrqd"
    assert Draw("s1").order(LABELS) == Draw("s1").order(reversed(LABELS))


def test_another_seed_draws_something_else():
    assert Draw("s1").token("fence") != Draw("s2").token("fence")
    assert Draw("a", "bc").token("x") != Draw("ab", "c").token("x")
    assert len({tuple(Draw(str(seed)).order(LABELS)) for seed in range(50)}) > 45


def test_every_place_is_drawn_about_as_often():
    places = [Draw(str(seed)).order(LABELS).index("m0") for seed in range(800)]
    assert all(70 <= places.count(place) <= 130 for place in range(len(LABELS)))


def test_a_token_is_short_plain_and_never_given_twice():
    draw = Draw("s1")
    tokens = [draw.unused("id", chars=1) for _ in range(20)]
    assert len(set(tokens)) == 20
    assert Draw("s1").token("x").isalnum()
    assert len(Draw("s1").unused("fence")) == TOKEN_CHARS


def test_j2_a_token_that_occurs_in_a_text_is_not_drawn():
    first = Draw("s1").unused("fence")
    assert Draw("s1", avoid=f"as if I knew {first}").unused("fence") != first
