"""Whether a blend is worth what it takes: against the best of its sources alone."""

from collections.abc import Mapping

from app.domain.money import ceil_div
from app.domain.plan import Plan
from app.domain.states import Role
from app.modes.blend_plan import is_without
from app.reports.judged_views import BlendProofView, DuelView
from app.reports.tallies import Used


def is_blend(plan: Plan) -> bool:
    """Whether every job of a batch is a blend, so that its blends can be set against one source."""
    return plan.mode_of_all == "blend"


def proof_of(
    plan: Plan,
    duel: DuelView,
    used: Mapping[tuple[str, str], Used],
    latencies: tuple[int | None, int | None],
) -> BlendProofView:
    """The proof; `latencies` are the medians of the blend and of its best source, in ms."""
    ahead = duel.wins - duel.losses
    cost = _extra_cost(used, duel.best)
    mine, best = latencies
    wait = None if mine is None or best is None else mine - best
    return BlendProofView(
        both_orders=all(one.judge and one.judge.scoring == "pairwise" for one in plan.all),
        duel=duel,
        extra_cost_nanos=cost,
        extra_cost_per_win_nanos=_per_win(cost, duel.prompts, ahead),
        extra_latency_ms=wait,
        extra_latency_per_win_ms=_per_win(wait, duel.prompts, ahead),
    )


def _per_win(extra: int | None, jobs: int, ahead: int) -> int | None:
    return None if extra is None or ahead <= 0 else ceil_div(extra * jobs, ahead)


def _extra_cost(used: Mapping[tuple[str, str], Used], best: str) -> int | None:
    """What a blend costs for a job beyond its best source: answers and syntheses, no judges."""
    parts = [
        (role, label, one)
        for (role, label), one in used.items()
        if role != Role.JUDGE and not is_without(label)
    ]
    alone = used.get((Role.CANDIDATE, best), Used())
    blends = max((one.answers for role, _, one in parts if role == Role.SYNTHESIZER), default=0)
    if not blends or not alone.answers or any(one.unpriced for _, _, one in parts):
        return None
    whole = sum(one.cost_nanos for _, _, one in parts)
    return ceil_div(whole, blends) - ceil_div(alone.cost_nanos, alone.answers)
