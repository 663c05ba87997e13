"""Which calls of a submission with `cache` would take an earlier answer, for an estimate."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from app.db import Store
from app.domain.clock import utc_now
from app.domain.plan import JobView, Plan
from app.domain.prompt import Prompt
from app.domain.spec import BatchBody
from app.models import Batch, Lane
from app.modes.registry import mode_for
from app.pipeline.calls import BatchContext, JobCalls
from app.pipeline.lanes import variants_of
from app.pipeline.reuse import find_answers, keys_of
from app.vault.texts import Texts


class Saved(NamedTuple):
    """What of a batch has an answer already.

    Attributes:
        calls: calls of a job's first round, on average, by model.
        jobs: the share of jobs of whose first round every call has; their later rounds may
            well ask what was asked before, too.
    """

    calls: Mapping[str, float]
    jobs: float


NOTHING = Saved({}, 0.0)


def saved_calls(
    store: Store,
    account_id: str,
    plan: Plan,
    prompts: Sequence[Prompt],
    context: BatchContext | None,
    texts: Texts,
) -> Saved:
    """How much of the first round has an answer already.

    Later rounds show what was answered, and are not looked for.

    Args:
        store: where earlier answers are.
        account_id: whose they are.
        plan: of the batch.
        prompts: some of its jobs'.
        context: what its calls would be asked with; None where nothing was ever asked so.
        texts: how the batch would keep its texts: answers are found among those kept alike.
    """
    if context is None:
        return NOTHING
    asked: list[list[tuple[str, str]]] = []
    for prompt in prompts:
        view = JobView(prompt, plan, seed=context.seed_of("", prompt))
        calls = mode_for(plan.mode).plan(view).calls
        keys = keys_of(context.asked_by(JobCalls("", 0, 1, prompt, calls)), texts)
        asked.append([(str(one.ref), key) for one, key in zip(calls, keys, strict=True)])
    with store.read() as session:
        wanted = [key for calls in asked for _, key in calls]
        found = find_answers(session, store, account_id, wanted)
    saved = Counter(model for calls in asked for model, key in calls if key in found)
    whole = sum(all(key in found for _, key in calls) for calls in asked)
    jobs = len(prompts)
    return Saved({model: count / jobs for model, count in saved.items()}, whole / jobs)


def context_of(
    account_id: str,
    body: BatchBody,
    plan: Plan,
    lanes: Mapping[str, Lane],
    *,
    cap_nanos: int | None,
    max_tokens_default: int,
) -> BatchContext | None:
    """What a batch's calls would be asked with; None if it has no `cache`, or a provider no lane."""
    if not body.cache or any(one.variant.ref.provider not in lanes for one in variants_of(plan)):
        return None
    batch = Batch(
        id="",
        account_id=account_id,
        mode=body.mode,
        cache=True,
        cap_nanos=cap_nanos,
        jobs_total=0,
        jobs_queued=0,
        created_at=utc_now(),
    )
    return BatchContext(batch, plan, dict(lanes), max_tokens_default)
