"""What modes share: counting contestants, and asking each of them the job's prompt."""

from collections.abc import Sequence

from app.domain.errors import InvalidRequestError
from app.domain.plan import CallResult, JobView, Plan, PlannedCall, Round
from app.domain.prompt import Variant
from app.domain.states import Role


def check_variants(plan: Plan, *, least: int, most: int) -> None:
    """Refuse a plan with too few or too many variants, or with two of one label.

    Raises:
        InvalidRequestError: with `models` in `param`.
    """
    count = len(plan.variants)
    if not least <= count <= most:
        wanted = f"exactly {least}" if least == most else f"{least} to {most}"
        raise InvalidRequestError(
            f"models: {plan.mode} takes {wanted}, and this batch has {count} "
            "(each model once per repeat)",
            param="models",
        )
    check_labels(plan.variants, param="models")


def check_labels(variants: Sequence[Variant], *, param: str, taken: Sequence[Variant] = ()) -> None:
    """Refuse variants of which two have the same label, or one has that of another field's.

    Raises:
        InvalidRequestError: naming the second of them.
    """
    seen = {variant.label for variant in taken}
    for place, variant in enumerate(variants):
        if variant.label in seen:
            where = f"{param}[{place}]"
            raise InvalidRequestError(
                f"{where}: the label {variant.label!r} is taken; give each its own", param=where
            )
        seen.add(variant.label)


def check_parts(plan: Plan, *taken: str) -> None:
    """Refuse settings of another mode, rather than ignore them.

    Raises:
        InvalidRequestError: with `judge`, `blend` or `mesh` in `param`.
    """
    for part in ("judge", "blend", "mesh"):
        if part not in taken and getattr(plan, part) is not None:
            raise InvalidRequestError(
                f"{part}: the mode {plan.mode} does not take it; use the mode {part}", param=part
            )


def candidates_round(plan: Plan) -> Round:
    """Ask every variant the job's own prompt."""
    return Round(
        tuple(
            PlannedCall(Role.CANDIDATE, variant.label, variant.ref, variant.params)
            for variant in plan.variants
        )
    )


def candidates(job: JobView, results: Sequence[CallResult]) -> list[CallResult]:
    """The candidates' results in the order of the plan, whatever order they come in."""
    place = {variant.label: number for number, variant in enumerate(job.plan.variants)}
    of_role = [result for result in results if result.role is Role.CANDIDATE]
    return sorted(of_role, key=lambda result: place.get(result.label, len(place)))
