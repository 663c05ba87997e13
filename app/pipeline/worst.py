"""What a batch may cost at the most, for the hold of credits at submit."""

from collections.abc import Mapping

import msgspec

from app.billing.terms import Terms
from app.domain.plan import Plan
from app.domain.prompt import Params, Variant
from app.modes.registry import mode_for
from app.pipeline.spool import Spool

#: Tokens that a mode's own words around the answers may add to a later call.
_FRAME_TOKENS = 4096
#: Another model's tokenizer may need more tokens for the same answer.
_RETOKENISED = 2


def batch_worst_nanos(
    plan: Plan,
    billed: Mapping[str, str],
    *,
    jobs: int,
    input_tokens: int,
    max_tokens_default: int,
) -> int:
    """The most that the batch's calls to these providers may cost, in nanodollars.

    `billed` says of each provider who is charged. Exact as a bound for the first round; for
    later rounds it assumes that every answer is as long as it may be. `input_tokens` is the sum
    of the prompts' bounds.
    """
    terms, total = Terms(plan.prices, plan.margin_percent), 0

    def worst(variant: Variant, read: int) -> int:
        ref = variant.ref
        price = terms.price_of(ref.provider, ref.model, billed[ref.provider])
        if price is None:
            return 0
        output_tokens = jobs * (variant.params.max_tokens or max_tokens_default)
        return price.worst_nanos(read, output_tokens, requests=jobs)

    for variant in plan.variants:
        if variant.ref.provider in billed:
            total += worst(variant, input_tokens)
    answer_tokens = max(
        variant.params.max_tokens or max_tokens_default for variant in plan.variants
    )
    for variant, answers in mode_for(plan.mode).later_calls(plan):
        if variant.ref.provider in billed:
            read = input_tokens + jobs * (_FRAME_TOKENS + answers * answer_tokens * _RETOKENISED)
            total += worst(variant, read)
    return total


def spool_worst_nanos(
    plan: Plan, spool: Spool, billed: Mapping[str, str], max_tokens_default: int
) -> int:
    """The same for the jobs of a spool, each with its plan and its parameters."""
    total = 0
    for number, size in spool.sizes.items():
        bound = size.max_tokens if size.is_bounded else max(size.max_tokens, max_tokens_default)
        followed = msgspec.structs.replace(
            plan.of(number), prices=plan.prices, margin_percent=plan.margin_percent
        )
        total += batch_worst_nanos(
            followed.asked_with(Params(max_tokens=bound)),
            billed,
            jobs=size.jobs,
            input_tokens=size.input_tokens,
            max_tokens_default=max_tokens_default,
        )
    return total
