"""What a blend's proof comes to, in words, the same wherever it is shown."""

from collections.abc import Callable, Iterator

from app.reports import figures
from app.reports.judged_views import BlendProofView

Name = Callable[[str], str]


def proof_lines(proof: BlendProofView, name: Name = str) -> Iterator[str]:
    """Who won how often, what a win costs, and what each source brought."""
    duel = proof.duel
    how = "in both orders" if proof.both_orders else "in one question, in an order drawn by lot"
    yield (
        f"The blend against {name(duel.best)}, the best of its sources alone, judged blind and "
        f"{how}: {duel.wins} won, {duel.ties} tied, {duel.losses} lost on {duel.prompts} prompts. "
        f"That is {figures.share(duel.win_share)} of wins, a tie being half, and "
        f"{figures.gained(duel.difference)} points (p = {figures.chance(duel.p)})."
    )
    yield _price(proof)
    for one in duel.contributions:
        yield f"With {name(one.label)} it scores {figures.gained(one.difference)} points."


def _price(proof: BlendProofView) -> str:
    cost, wait = proof.extra_cost_nanos, proof.extra_latency_ms
    what = "an unknown amount" if cost is None else figures.more_money(cost)
    told = f"Beyond that source a job costs {what} and takes {figures.more_time(wait)}"
    if proof.duel.wins <= proof.duel.losses:
        return f"{told}; the blend wins no more often than it loses."
    win_cost = figures.more_money(proof.extra_cost_per_win_nanos)
    win_time = figures.more_time(proof.extra_latency_per_win_ms)
    return f"{told}, or {win_cost} and {win_time} for each win more than losses."
