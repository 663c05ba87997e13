"""What of a batch never changes, kept by every process that works on it."""

from collections.abc import Mapping
from dataclasses import dataclass

import msgspec
from sqlmodel import Session

from app.billing.terms import Terms
from app.domain.plan import MIXED, Plan
from app.domain.prompt import Params
from app.domain.states import Role
from app.models import Batch, BatchSpec
from app.modes.registry import mode_for
from app.pipeline.lanes import params_of, variants_of

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
        sealed: whether its texts are.
        single: whether a job is one call and ends as that call does, so that the two can end
            together: no mode reads text, and there is one variant.
    """

    plan: Plan
    params: Mapping[tuple[Role, str], Params]
    terms: Terms
    at_most_once: bool
    sealed: bool
    plain: bool
    single: bool


def known_facts(batch_id: str) -> Facts | None:
    """The facts of a batch, if this process has read them before."""
    return _facts.get(batch_id)


def facts_of(session: Session, batch_id: str) -> Facts:
    """The facts of a batch that is there."""
    known = _facts.get(batch_id)
    if known is None:
        plan = msgspec.json.decode(session.get_one(BatchSpec, batch_id).plan, type=Plan)
        params = params_of(plan)
        reads_none = not any(mode_for(one.mode).needs_text for one in plan.all)
        # Of two plans that call different things the same, the calls of one say what they ask.
        plain = reads_none and all(
            params[one.role, one.variant.label] == one.variant.params for one in variants_of(plan)
        )
        batch = session.get_one(Batch, batch_id)
        at_most_once, sealed = batch.at_most_once, batch.seal is not None
        is_one = all(len(one.variants) == 1 for one in plan.all)
        single = reads_none and is_one and plan.mode_of_all != MIXED
        terms = Terms(plan.prices, plan.margin_percent)
        known = Facts(plan, params, terms, at_most_once, sealed, plain, single)
        if len(_facts) >= _KEPT:
            _facts.clear()
        _facts[batch_id] = known
    return known
