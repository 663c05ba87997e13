"""What a batch may cost at the most, for the hold of credits at submit."""

from collections.abc import Collection

from app.billing.pricing import price_of
from app.domain.plan import Plan
from app.domain.prompt import Params, Variant
from app.modes.registry import mode_for
from app.pipeline.lines import Spool

#: Tokens that a mode's own words around the answers may add to a later call.
_FRAME_TOKENS = 4096
#: Another model's tokenizer may need more tokens for the same answer.
_RETOKENISED = 2


def batch_worst_nanos(
    plan: Plan,
    providers: Collection[str],
    *,
    jobs: int,
    input_tokens: int,
    max_tokens_default: int,
) -> int:
    """The most that the batch's calls to these providers may cost, in nanodollars.

    Exact as a bound for the first round; for later rounds it assumes that every answer is as
    long as it may be. `input_tokens` is the sum of the prompts' bounds.
    """
    total = 0
    for variant in plan.variants:
        if variant.ref.provider in providers:
            total += _worst(variant, input_tokens, jobs, max_tokens_default)
    answer_tokens = max(
        variant.params.max_tokens or max_tokens_default for variant in plan.variants
    )
    for variant, answers in mode_for(plan.mode).later_calls(plan):
        if variant.ref.provider in providers:
            read = input_tokens + jobs * (_FRAME_TOKENS + answers * answer_tokens * _RETOKENISED)
            total += _worst(variant, read, jobs, max_tokens_default)
    return total


def spool_worst_nanos(
    plan: Plan, spool: Spool, providers: Collection[str], max_tokens_default: int
) -> int:
    """The same for the jobs of a spool, each with its plan and its parameters."""
    total = 0
    for number, size in spool.sizes.items():
        bound = size.max_tokens if size.is_bounded else max(size.max_tokens, max_tokens_default)
        total += batch_worst_nanos(
            plan.of(number).asked_with(Params(max_tokens=bound)),
            providers,
            jobs=size.jobs,
            input_tokens=size.input_tokens,
            max_tokens_default=max_tokens_default,
        )
    return total


def _worst(variant: Variant, input_tokens: int, jobs: int, max_tokens_default: int) -> int:
    price = price_of(variant.ref.provider, variant.ref.model)
    if price is None:
        return 0
    output_tokens = jobs * (variant.params.max_tokens or max_tokens_default)
    return price.worst_nanos(input_tokens, output_tokens, requests=jobs)
