"""Who takes part in a batch, whichever of its plans each job follows."""

from collections.abc import Iterable, Iterator, Mapping

import msgspec
import sqlalchemy as sa
from sqlmodel import Session, col

from app.domain.ids import job_range
from app.domain.plan import Plan
from app.domain.prompt import Variant
from app.models import Job
from app.modes.blend_plan import answering, synthesis_label, synthesizer_of


def contestants_of(plan: Plan) -> list[Variant]:
    """Who answers, each label once: of a mesh its fallbacks too, of a judged blend the blend."""
    return once(variant for one in plan.all for variant in _answering(one))


def judges_of(plan: Plan) -> list[Variant]:
    """Every judge of the batch, each label once."""
    return once(judge for panel in panels_of(plan) for judge in panel)


def panels_of(plan: Plan) -> list[tuple[Variant, ...]]:
    """The judges of each plan, by its number."""
    return [one.judge.judges if one.judge else () for one in plan.all]


def jobs_by_label(session: Session, batch_id: str, plan: Plan) -> dict[str, int]:
    """How many jobs ask each contestant; whoever is only fallen back to is not in it."""
    rows = session.connection().execute(
        sa.select(col(Job.plan), sa.func.count())
        .where(col(Job.id).between(*job_range(batch_id)))
        .group_by(col(Job.plan))
    )
    return _by_label(plan, {number: int(count) for number, count in rows})


def once(variants: Iterable[Variant]) -> list[Variant]:
    """The first of each label."""
    found: dict[str, Variant] = {}
    for variant in variants:
        found.setdefault(variant.label, variant)
    return list(found.values())


def _by_label(plan: Plan, jobs: Mapping[int, int]) -> dict[str, int]:
    found: dict[str, int] = {}
    for number, one in enumerate(plan.all):
        fallback = {variant.label for variant in _fallback(one)}
        for label in {variant.label for variant in _answering(one)} - fallback:
            found[label] = found.get(label, 0) + jobs.get(number, 0)
    return found


def _answering(plan: Plan) -> Iterator[Variant]:
    if plan.mode != "blend":
        yield from plan.variants
        yield from _fallback(plan)
        return
    yield from answering(plan)
    if plan.judge is not None:
        yield msgspec.structs.replace(synthesizer_of(plan), label=synthesis_label(1))


def _fallback(plan: Plan) -> tuple[Variant, ...]:
    return plan.mesh.fallback if plan.mesh is not None else ()
