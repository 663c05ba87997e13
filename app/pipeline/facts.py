"""What of a batch never changes, kept by every process that works on it."""

from collections.abc import Mapping
from dataclasses import dataclass

import msgspec
from sqlmodel import Session

from app.billing.terms import Terms
from app.domain.plan import Plan
from app.domain.prompt import Params
from app.domain.states import Role
from app.models import Batch, BatchSpec
from app.modes.registry import mode_for
from app.pipeline.lanes import params_of

_KEPT = 256
_facts: dict[str, "Facts"] = {}


@dataclass(frozen=True, slots=True)
class Facts:
    """A batch as it was submitted.

    Attributes:
        plan: what it asks of every job.
        params: the parameters of each variant, by what it is called as.
        terms: what its calls cost, fixed with the plan.
        plain: whether every call asks its job's prompt with its variant's parameters: the mode
            reads no text, so it makes none.
        at_most_once: whether nothing that may have been answered is sent again.
        single: whether a job is one call and ends as that call does, so that the two can end
            together: it is plain, and there is one variant.
    """

    plan: Plan
    params: Mapping[tuple[Role, str], Params]
    terms: Terms
    at_most_once: bool
    plain: bool
    single: bool


def facts_of(session: Session, batch_id: str) -> Facts:
    """The facts of a batch that is there."""
    known = _facts.get(batch_id)
    if known is None:
        plan = msgspec.json.decode(session.get_one(BatchSpec, batch_id).plan, type=Plan)
        plain = not mode_for(plan.mode).needs_text
        at_most_once = session.get_one(Batch, batch_id).at_most_once
        single = plain and len(plan.variants) == 1
        terms = Terms(plan.prices, plan.margin_percent)
        known = Facts(plan, params_of(plan), terms, at_most_once, plain, single)
        if len(_facts) >= _KEPT:
            _facts.clear()
        _facts[batch_id] = known
    return known
