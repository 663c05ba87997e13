"""estimate: what a submission would come to, from a rehearsal of it. Nothing is stored.

Calls are counted by leading the mode through one job (`rehearsal`); their input tokens are
estimated from characters, their output tokens from what this account's models usually answer
(`habits`). The range is 70 % to 150 % of the input, times the quartiles of the output.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import msgspec
from sqlmodel import Session

from app.billing.rates import Price
from app.billing.terms import Terms
from app.domain.completion import Usage
from app.domain.money import dollars_to_nanos
from app.domain.plan import Plan
from app.domain.prompt import ModelRef, Prompt
from app.domain.spec import BatchBody
from app.domain.states import Billed, Role
from app.models import Lane
from app.modes.registry import mode_for
from app.pipeline.account_plan import account_plan
from app.pipeline.context import Windows, rules_of, windows_of
from app.pipeline.doubts import (
    lane_problems,
    length_problems,
    money_problems,
    notes_on,
    time_problems,
)
from app.pipeline.estimated import Estimate, ModelEstimate, SampleEstimate
from app.pipeline.habits import Habits, Range, added, habits_of
from app.pipeline.lanes import lanes_for, variants_of
from app.pipeline.lines import spool_lines
from app.pipeline.prices import priced
from app.pipeline.rehearsal import Asked, mean_prompt, rehearse, tokens_of
from app.pipeline.saved import Saved, context_of, saved_calls
from app.pipeline.services import Services
from app.pipeline.spool import Spool
from app.pipeline.submit import Submission
from app.pipeline.worst import batch_worst_nanos
from app.vault.texts import account_texts

_INPUT_LOW, _INPUT_HIGH = 0.7, 1.5
_S_PER_MINUTE, _S_PER_HOUR = 60, 3600


@dataclass(frozen=True, slots=True)
class _Known:
    """What the rows of an estimate are made from."""

    sizes: "_Sizes"
    lanes: Mapping[str, Lane]
    habits: Habits
    max_tokens_default: int | None
    saved: Saved
    terms: Terms


@dataclass(frozen=True, slots=True)
class _Sizes:
    """The jobs as far as the estimate needs them."""

    jobs: int
    tokens: int  # of all prompts, estimated
    tokens_max: int
    prompts: list[Prompt]  # some of them
    twins: int
    windows: Windows  # that have counted every prompt


def estimate(services: Services, submission: Submission) -> Estimate:
    """Estimate a submission.

    Raises:
        InvalidRequestError: it is wrong in a way that leaves nothing to estimate.
    """
    body = submission.body
    with services.store.read() as session:
        plan = account_plan(session, submission.account_id, body)
        plan = priced(session, submission.account_id, plan, services.settings.margin_percent)
    windows = windows_of(plan)
    spool = spool_lines(submission.lines, rules_of(plan, body))
    try:
        sizes = _sizes_of(spool, windows)
    finally:
        spool.close()
    with services.store.read() as session:
        return _estimate(services, session, submission, plan, sizes)


def _sizes_of(spool: Spool, windows: Windows) -> _Sizes:
    tokens, sample, seen = 0, list[Prompt](), set[int]()
    # Every so manieth is kept, a thousand at most, to stand for all of them.
    every = spool.count // 1000 + 1
    for number, (custom_id, body) in enumerate(zip(spool.names, spool.prompts(), strict=True)):
        prompt = msgspec.json.decode(body, type=Prompt)
        prompt_tokens = tokens_of(prompt.messages)
        tokens += prompt_tokens
        windows.count(custom_id, prompt_tokens)
        seen.add(hash(body))
        if number % every == 0:
            sample.append(prompt)
    twins = spool.count - len(seen)
    return _Sizes(spool.count, tokens, spool.input_tokens, sample, twins, windows)


def _estimate(
    services: Services, session: Session, submission: Submission, plan: Plan, sizes: _Sizes
) -> Estimate:
    body, account_id = submission.body, submission.account_id
    lanes = lanes_for(session, account_id, [one.variant.ref.provider for one in variants_of(plan)])
    habits = habits_of(session, account_id)
    asked = rehearse(
        plan,
        mean_prompt(sizes.prompts),
        lambda call: habits.of(call.ref, call.role).output_tokens.expected,
    )
    default = services.settings.max_tokens_default if body.budget_usd is not None else None
    terms = Terms(plan.prices, plan.margin_percent)
    cap_nanos = None if body.budget_usd is None else dollars_to_nanos(body.budget_usd)
    asked_with = context_of(
        account_id,
        body,
        plan,
        lanes,
        cap_nanos=cap_nanos,
        max_tokens_default=services.settings.max_tokens_default,
    )
    texts = account_texts(session, account_id)
    saved = saved_calls(services.store, account_id, plan, sizes.prompts, asked_with, texts)
    models = _models(asked, _Known(sizes, lanes, habits, default, saved, terms))
    priced = [one for one in models if one.cost_nanos is not None]
    worst = _worst(services, plan, sizes, lanes)
    cost = _costs(priced, None).capped(worst)
    seconds, slowest = _seconds(services, models, lanes, habits)
    made = Estimate(
        jobs=sizes.jobs,
        calls=sum(one.calls for one in models),
        calls_max=sizes.jobs * (len(plan.variants) + len(mode_for(plan.mode).later_calls(plan))),
        input_tokens=added(one.input_tokens for one in models),
        output_tokens=added(one.output_tokens for one in models),
        cost_nanos=cost,
        byok_nanos=_costs(priced, Billed.BYOK).capped(worst),
        credits_nanos=_costs(priced, Billed.CREDITS).capped(worst),
        cost_is_complete=len(priced) == len(models),
        worst_nanos=worst,
        hours=round(seconds / _S_PER_HOUR, 3),
        slowest=slowest,
        models=models,
        problems=lane_problems(session, account_id, plan, lanes, body),
        notes=notes_on(plan, sizes.twins),
        sample=_sample(body, sizes.jobs, models, cost),
    )
    made.problems.extend(
        money_problems(
            session,
            account_id,
            body,
            cost_nanos=made.cost_nanos.expected,
            credits_nanos=made.credits_nanos.expected,
        )
    )
    made.problems.extend(length_problems(sizes.windows))
    made.problems.extend(time_problems(body, services.store.now(session), seconds))
    return made


def _models(asked: list[Asked], known: _Known) -> list[ModelEstimate]:
    """A row for each model and role, in the order in which they are first asked."""
    groups: dict[tuple[str, Role], list[Asked]] = {}
    for one in asked:
        groups.setdefault((str(one.call.ref), one.call.role), []).append(one)
    sizes, rows = known.sizes, []
    for (model, role), calls in groups.items():
        ref = calls[0].call.ref
        lane, habit = known.lanes.get(ref.provider), known.habits.of(ref, role)
        input_tokens = sum(_input_tokens(one, sizes) for one in calls)
        output = added(
            habit.output_tokens.capped(one.call.params.max_tokens or known.max_tokens_default)
            for one in calls
        ).times(sizes.jobs)
        count = len(calls) * sizes.jobs
        billed = lane.billed if lane is not None else Billed.BYOK.value
        price = known.terms.price_of(ref.provider, ref.model, billed)
        cached = 0
        if role is Role.CANDIDATE:
            cached = min(round(known.saved.calls.get(model, 0) * sizes.jobs), count)
        sent = count - cached
        input_tokens, output = input_tokens * sent // count, output.share(sent, count)
        # Of these some may be asked again what they were asked before.
        surely = 1.0 if role is Role.CANDIDATE else 1 - known.saved.jobs
        output = Range(int(output.low * surely), output.expected, output.high)
        input_range = Range(
            int(input_tokens * _INPUT_LOW * surely), input_tokens, int(input_tokens * _INPUT_HIGH)
        )
        rows.append(
            ModelEstimate(
                model=model,
                role=role.value,
                billed=billed,
                calls=count,
                input_tokens=input_range,
                output_tokens=output,
                cost_nanos=_cost(price, sent, input_range, output),
                answers_seen=habit.seen,
                cached=cached,
            )
        )
    return rows


def _input_tokens(one: Asked, sizes: _Sizes) -> int:
    """Over all jobs: the prompts as they are, or as often what the rehearsal asked."""
    return sizes.tokens if one.call.messages is None else one.input_tokens * sizes.jobs


def _cost(
    price: Price | None, calls: int, input_tokens: Range, output_tokens: Range
) -> Range | None:
    if price is None:
        return None
    if calls == 0:
        return Range(0, 0, 0)

    def of(tokens_in: int, tokens_out: int) -> int:
        usage = Usage(input_tokens=tokens_in // calls, output_tokens=tokens_out // calls)
        return price.cost_nanos(usage) * calls

    return Range(
        of(input_tokens.low, output_tokens.low),
        of(input_tokens.expected, output_tokens.expected),
        of(input_tokens.high, output_tokens.high),
    )


def _sample(
    body: BatchBody, jobs: int, models: list[ModelEstimate], cost: Range
) -> SampleEstimate | None:
    """The part of it that runs first, where a sample is less than all."""
    sample = body.sample
    if sample is None or sample >= jobs:
        return None
    calls = sum(one.calls for one in models)
    return SampleEstimate(sample, calls * sample // jobs, cost.share(sample, jobs))


def _costs(rows: list[ModelEstimate], billed: Billed | None) -> Range:
    return added(
        one.cost_nanos
        for one in rows
        if one.cost_nanos is not None and (billed is None or one.billed == billed)
    )


def _worst(services: Services, plan: Plan, sizes: _Sizes, lanes: Mapping[str, Lane]) -> int:
    """What every call may cost at most, whoever pays."""
    providers = {one.variant.ref.provider for one in variants_of(plan)}
    return batch_worst_nanos(
        plan,
        {name: lanes[name].billed if name in lanes else Billed.BYOK for name in providers},
        jobs=sizes.jobs,
        input_tokens=sizes.tokens_max,
        max_tokens_default=services.settings.max_tokens_default,
    )


def _seconds(
    services: Services, models: list[ModelEstimate], lanes: Mapping[str, Lane], habits: Habits
) -> tuple[float, str | None]:
    """How long the slowest provider's lane needs, and which that is."""
    settings = services.settings
    slots = settings.worker_in_flight * settings.worker_processes
    calls, tokens, busy_s = Counter[str](), Counter[str](), Counter[str]()
    for one in models:
        provider, _, model = one.model.partition("/")
        habit = habits.of(ModelRef(provider, model), Role(one.role))
        calls[provider] += one.calls
        tokens[provider] += one.input_tokens.expected + one.output_tokens.expected
        busy_s[provider] += round(one.calls * habit.latency_s)
    took = {}
    for provider, count in calls.items():
        lane = lanes.get(provider)
        rpm, tpm, in_flight = (lane.rpm, lane.tpm, lane.in_flight) if lane else (None, None, None)
        took[provider] = max(
            busy_s[provider] / min(slots, in_flight or slots),
            count / rpm * _S_PER_MINUTE if rpm else 0,
            tokens[provider] / tpm * _S_PER_MINUTE if tpm else 0,
        )
    slowest = max(took, key=lambda provider: took[provider], default=None)
    return (0.0 if slowest is None else took[slowest]), slowest
