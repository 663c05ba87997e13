"""mesh: a chain of models, of which the next is tried where one does not answer.

    model ──▶ fallback ──▶ fallback ──▶ …      one call at a time, until one answers

The order is the model, then the fallback as it is listed; `round-robin` starts each job at
another place of the chain, drawn from the job's seed, and `latency` and `cost` take the order
that the plan was given when the batch was submitted. Where nothing is known of a model, it
comes after those of which something is.

A job moves on where the provider, the way to it or its key is at fault, for another model may
well answer. A model that declines, and a request that is itself at fault, end the job as
failed: there the next model would be paid to say the same, or asked until one gives in.

Every call but the last ends at its first failure; the last model is retried as in any other
mode. The route says of each model whether it was tried or skipped, and what came of it.
"""

from collections.abc import Sequence

from app.domain.errors import InvalidRequestError, InvariantError
from app.domain.plan import (
    CallResult,
    JobView,
    MeshSpec,
    Outcome,
    Plan,
    PlannedCall,
    Round,
    RouteStep,
)
from app.domain.prompt import Variant
from app.domain.states import CallState, Role
from app.modes.base import candidates, check_labels, check_parts, check_variants
from app.modes.draw import Draw

FALLBACK_MAX = 15
STRATEGIES = ("rate-limit", "latency", "cost", "round-robin")

#: 529 is how some vendors write 503.
MOVES_ON_AT = frozenset({408, 409, 425, 429, 500, 502, 503, 504, 529})
#: Why a call was not sent at all: its model is skipped.
SKIPPED = frozenset({"circuit_open", "lane_parked", "key_deleted"})
#: What ends a call though its request may be fine, where no status says so.
_NOT_THE_REQUESTS_FAULT = SKIPPED | {
    # The way to the provider, and whatever was lost on it.
    *("connect", "timeout", "dropped", "bad_http", "outcome_unknown", "worker_lost", "shutdown"),
    # The provider; `provider_unavailable` is the engine's word for having waited too long.
    *("provider_unavailable", "rate_limited", "conflict", "too_early", "server_error"),
    *("bad_gateway", "overloaded", "gateway_timeout", "cancelled", "ramp_limit"),
    # The key, or the account behind it: another provider has another.
    *("unauthorized", "billing", "forbidden", "quota_exhausted", "spend_limit"),
    *("malformed_key", "key_unusable"),
}


class Mesh:
    """One model answers: the first that can."""

    name = "mesh"
    #: A later call asks the job's own prompt, whose size bounds what the call may cost.
    needs_text = True

    def check(self, plan: Plan) -> None:
        """Exactly one model, with 1 to 15 to fall back on."""
        spec = plan.mesh
        if spec is None or not spec.fallback:
            raise InvalidRequestError(
                "mesh.fallback: name at least one model to fall back on", param="mesh.fallback"
            )
        check_parts(plan, "mesh")
        check_variants(plan, least=1, most=1)
        if len(spec.fallback) > FALLBACK_MAX:
            raise InvalidRequestError(
                f"mesh.fallback: there may be at most {FALLBACK_MAX}", param="mesh.fallback"
            )
        check_labels(spec.fallback, param="mesh.fallback", taken=plan.variants)
        if spec.strategy not in STRATEGIES:
            raise InvalidRequestError(
                f"mesh.strategy: there are {', '.join(STRATEGIES)}", param="mesh.strategy"
            )

    def plan(self, job: JobView) -> Round:
        """The first model of the job's order."""
        return _ask(_chain(job), 0)

    def advance(self, job: JobView, results: Sequence[CallResult]) -> Round | Outcome:
        """The next model, if the last one let us down and there is one."""
        chain = _chain(job)
        tried = _tried(chain, candidates(job, results))
        last = tried[-1] if tried else None
        if last is not None and last.succeeded:
            return Outcome(succeeded=True, route=_route(chain, tried))
        if last is None or (len(tried) < len(chain) and moves_on(last)):
            return _ask(chain, len(tried))
        reason, message = _ending(last, len(tried), len(chain))
        return Outcome(succeeded=False, reason=reason, message=message, route=_route(chain, tried))

    def later_calls(self, plan: Plan) -> Sequence[tuple[Variant, int]]:
        """Each model of the fallback, once."""
        return [(variant, 0) for variant in _spec_of(plan).fallback]


def moves_on(result: CallResult) -> bool:
    """Whether another model may answer what this call could not."""
    if result.state is not CallState.FAILED:
        return False
    status = result.status_code
    # A failed call of a good status has an answer that nobody could read.
    unreadable = status is not None and 200 <= status < 300  # noqa: PLR2004 - the class of successes
    return unreadable or status in MOVES_ON_AT or result.error_reason in _NOT_THE_REQUESTS_FAULT


def _spec_of(plan: Plan) -> MeshSpec:
    if plan.mesh is None:
        raise InvariantError("a mesh's plan has no fallback, though it was checked at submit")
    return plan.mesh


def _chain(job: JobView) -> list[Variant]:
    """The models in the order in which this job tries them."""
    spec = _spec_of(job.plan)
    listed = [*job.plan.variants, *spec.fallback]
    match spec.strategy:
        case "round-robin":
            start = Draw(job.seed, "mesh").below(len(listed))
            return listed[start:] + listed[:start]
        case "latency" | "cost":
            place = {label: number for number, label in enumerate(spec.order)}
            return sorted(listed, key=lambda variant: place.get(variant.label, len(place)))
        case "rate-limit":
            return listed


def _tried(chain: Sequence[Variant], results: Sequence[CallResult]) -> list[CallResult]:
    """The results in the order of the chain."""
    by_label = {result.label: result for result in results}
    return [by_label[variant.label] for variant in chain if variant.label in by_label]


def _ask(chain: Sequence[Variant], place: int) -> Round:
    variant = chain[place]
    is_last = place == len(chain) - 1
    call = PlannedCall(
        Role.CANDIDATE, variant.label, variant.ref, variant.params, fail_fast=not is_last
    )
    return Round((call,))


def _route(chain: Sequence[Variant], tried: Sequence[CallResult]) -> list[RouteStep]:
    models = {variant.label: str(variant.ref) for variant in chain}
    return [_step(result, models[result.label]) for result in tried]


def _step(result: CallResult, model: str) -> RouteStep:
    if result.succeeded:
        return RouteStep(
            result.label, model, "succeeded", None, result.status_code, result.latency_ms
        )
    reason = result.error_reason or result.state.value
    if reason in SKIPPED and result.status_code is None:
        return RouteStep(result.label, model, "skipped", reason)
    return RouteStep(result.label, model, "failed", reason, result.status_code, result.latency_ms)


def _ending(last: CallResult, tried: int, models: int) -> tuple[str, str]:
    if moves_on(last):
        return "all_failed", f"None of the {models} models could answer."
    message = (
        f"The call to {last.label} ended as {last.state.value}, which no other model would mend; "
        f"{tried} of {models} models were tried."
    )
    return last.error_reason or last.state.value, message
