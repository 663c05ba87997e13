"""The plan of a batch, with what depends on whose it is: keys, and how quick models were."""

import msgspec
from sqlmodel import Session

from app.domain.plan import Plan
from app.domain.prompt import Variant
from app.domain.spec import BatchBody
from app.domain.states import Role
from app.pipeline.context import with_material_fitted
from app.pipeline.habits import habits_of
from app.pipeline.keeping import check_keeping
from app.pipeline.reroute import rerouted
from app.pipeline.variants import make_plan


def account_plan(session: Session, account_id: str, body: BatchBody) -> Plan:
    """The plan that an account's submission asks for.

    Raises:
        InvalidRequestError: naming the field at fault.
    """
    check_keeping(session, account_id, body)
    plan = rerouted(session, account_id, make_plan(body))
    return with_material_fitted(_quickest_first(session, account_id, plan))


def _quickest_first(session: Session, account_id: str, plan: Plan) -> Plan:
    """A mesh by latency tries what was quickest lately first, then what is not known, as listed."""
    if plan.mesh is None or plan.mesh.strategy != "latency":
        return plan
    habits = habits_of(session, account_id)

    def place(variant: Variant) -> tuple[bool, float]:
        habit = habits.of(variant.ref, Role.CANDIDATE)
        return (habit.seen == 0, habit.latency_s if habit.seen else 0.0)

    order = tuple(one.label for one in sorted([*plan.variants, *plan.mesh.fallback], key=place))
    return msgspec.structs.replace(plan, mesh=msgspec.structs.replace(plan.mesh, order=order))
