"""A blend's proof in words."""

import msgspec

from app.reports.markdown import as_markdown
from app.reports.proof import proof_lines
from tests.factories.reports import make_proof, make_report


def test_a_blend_is_set_against_the_best_of_its_sources_with_what_a_win_costs() -> None:
    first, price, brought = proof_lines(make_proof("acme/a", "acme/b"))
    assert "judged blind and in both orders: 18 won, 6 tied, 6 lost on 30 prompts" in first
    assert "70 % [55, 85] of wins, a tie being half, and +0.80 [+0.50, +1.10] points" in first
    assert price == (
        "Beyond that source a job costs +$0.0016 and takes +900 ms, or +$0.004 and +2.2 s for each "
        "win more than losses."
    )
    assert brought == "With acme/b it scores +0.25 [+0.05, +0.45] points."


def test_a_blend_that_does_not_win_has_no_price_of_a_win() -> None:
    duel = msgspec.structs.replace(make_proof().duel, wins=5)
    _, price = proof_lines(make_proof(duel=duel, both_orders=False, extra_cost_nanos=None))
    assert price == (
        "Beyond that source a job costs an unknown amount and takes +900 ms; the blend wins no more "
        "often than it loses."
    )


def test_the_proof_is_in_the_markdown_with_labels_as_code() -> None:
    text = as_markdown(make_report(blend=make_proof("acme/a", "acme/b")))
    assert "- The blend against `acme/a`, the best of its sources alone" in text
    assert "- With `acme/b` it scores" in text
