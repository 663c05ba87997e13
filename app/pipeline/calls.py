"""Turns a mode's planned calls into rows: bounds and prices fixed, queued and announced."""

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

import msgspec
from sqlmodel import Session

from app.billing.bound import input_tokens_max
from app.billing.terms import Terms
from app.db import Store, Tx
from app.domain.ids import Prefix, new_ids
from app.domain.plan import JobView, Plan, PlannedCall
from app.domain.prompt import Messages, Params, Prompt
from app.domain.states import Billed, Role
from app.models import Batch, BatchSpec, Call, Lane, StoredText
from app.pipeline.lanes import lanes_for, params_for, params_of, variants_of
from app.pipeline.reuse import Asked, copy_answers, find_answers, keys_of
from app.providers.registry import needs_bound as needs_bound_always
from app.vault.texts import PLAIN, Texts, texts_of

CALL_COLUMNS = (
    "id", "job_id", "batch_id", "account_id", "lane_id", "model", "label", "role", "round",
    "rank", "fail_fast", "meta", "state", "due_at", "epoch", "attempts", "unknowns", "crash_count",
    "max_tokens", "tokens_bound", "worst_nanos", "created_at",
)  # fmt: skip
_STATE_AT = CALL_COLUMNS.index("state")
TEXT_COLUMNS = ("owner_id", "kind", "batch_id", "body")
#: What the governor counts for the output of a call that has no bound of its own.
OUTPUT_TOKENS_GUESS = 1024

#: `backlog.due_at` only ever moves forward in time here; dispatch moves it back.
_ANNOUNCE = """
INSERT INTO backlog (lane_id, model, batch_id, account_id, due_at)
SELECT d.lane_id, d.model, d.batch_id, d.account_id, {after_ms(d.delay_ms)}
FROM {rows(lane_id text, model text, batch_id text, account_id text, delay_ms int)}
WHERE true ORDER BY d.lane_id, d.model, d.batch_id
ON CONFLICT (lane_id, model, batch_id)
DO UPDATE SET due_at = CASE WHEN backlog.due_at < excluded.due_at
                            THEN backlog.due_at ELSE excluded.due_at END
"""


class CallRequest(msgspec.Struct, frozen=True):
    """What a call asks, where that is not its job's prompt with its variant's parameters."""

    messages: Messages | None
    params: Params


@dataclass(slots=True)
class BatchContext:
    """What planning a batch's calls needs to know, read once per transaction."""

    batch: Batch
    plan: Plan
    lanes: dict[str, Lane]
    max_tokens_default: int
    texts: Texts = PLAIN
    batch_id: str = field(init=False)
    account_id: str = field(init=False)
    variants: dict[tuple[Role, str], Params] = field(init=False)
    terms: Terms = field(init=False)

    def __post_init__(self) -> None:
        """Index the plan's variants, to tell which calls ask just what their variant says."""
        # A row's own attributes cost a little at each look, and each call looks.
        self.batch_id, self.account_id = self.batch.id, self.batch.account_id
        self.variants = params_of(self.plan)
        self.terms = Terms(self.plan.prices, self.plan.margin_percent)

    def bound_of(self, params: Params, lane: Lane) -> int | None:
        """The bound on output tokens that is sent: ours, where money needs one and none is set.

        Some vendors need one with every request.
        """
        needs_bound = (
            self.batch.cap_nanos is not None
            or lane.billed == Billed.CREDITS
            or needs_bound_always(lane.provider)
        )
        return params.max_tokens or (self.max_tokens_default if needs_bound else None)

    def seed_of(self, job_id: str, prompt: Prompt) -> str:
        """What a job's lots are drawn from: its id; under `cache`, what it asks.

        So that a judge of the same answers to the same prompt is asked the same again. The
        account's id is in it, for what nobody who answers knows.
        """
        if not self.batch.cache:
            return job_id
        asked = msgspec.json.encode((self.batch.account_id, prompt))
        return hashlib.sha256(asked).hexdigest()

    def view_of(self, job_id: str, number: int, prompt: Prompt) -> JobView:
        """What a job's mode is shown: the plan of that number, with the job's own parameters."""
        plan = self.plan.of(number)
        if prompt.params is not msgspec.UNSET:
            plan = plan.asked_with(prompt.params)
        return JobView(prompt, plan, seed=self.seed_of(job_id, prompt))

    def asked_by(self, job: "JobCalls") -> list[Asked]:
        """What each of a job's calls asks, with all that is sent."""
        asked = []
        for planned in job.calls:
            lane = self.lanes[planned.ref.provider]
            bound = self.bound_of(planned.params, lane)
            params = msgspec.structs.replace(planned.params, max_tokens=bound)
            messages = planned.messages or job.prompt.messages
            asked.append(Asked(lane.provider, lane.base_url, planned.ref.model, params, messages))
        return asked


def load_context(session: Session, batch: Batch, max_tokens_default: int) -> BatchContext:
    """Read the batch's plan and its lanes."""
    spec = session.get_one(BatchSpec, batch.id)
    plan = msgspec.json.decode(spec.plan, type=Plan)
    providers = [one.variant.ref.provider for one in variants_of(plan)]
    lanes = lanes_for(session, batch.account_id, providers)
    return BatchContext(batch, plan, lanes, max_tokens_default, texts_of(session, batch))


@dataclass(frozen=True, slots=True)
class JobCalls:
    """The calls of one job's next round, still to be written."""

    job_id: str
    position: int
    round: int
    prompt: Prompt
    calls: Sequence[PlannedCall]


class Inserted(NamedTuple):
    """What came of writing rounds.

    Attributes:
        lanes: the (provider, lane) pairs to hint.
        cached: by job, how many of its calls took an earlier answer and are closed.
    """

    lanes: set[tuple[str, str]]
    cached: Counter[str]


@dataclass(frozen=True, slots=True)
class Rounds:
    """Rounds as they are written: the calls' rows, and the texts of those with their own."""

    jobs: Sequence[JobCalls]
    calls: list[tuple[Any, ...]]
    texts: list[tuple[str, str, str, str]]


def make_rounds(context: BatchContext, jobs: Sequence[JobCalls], now: datetime) -> Rounds:
    """Make the rows of rounds that are due `now`; nothing is written yet."""
    calls: list[tuple[Any, ...]] = []
    texts: list[tuple[str, str, str, str]] = []
    ids = iter(new_ids(Prefix.CALL, sum(len(job.calls) for job in jobs)))
    for job in jobs:
        prompt_tokens = input_tokens_max(job.prompt.messages)
        for planned, call_id in zip(job.calls, ids, strict=False):
            lane = context.lanes[planned.ref.provider]
            calls.append(_call_row(context, job, planned, lane, (call_id, now, prompt_tokens)))
            known = params_for(context.variants, planned.role, planned.label, job.prompt)
            if planned.messages is not None or planned.params != known:
                request = CallRequest(planned.messages, planned.params)
                body = msgspec.json.encode(request).decode()
                texts.append(context.texts.row(call_id, "request", context.batch.id, body))
    return Rounds(jobs, calls, texts)


def insert_rounds(tx: Tx, store: Store, context: BatchContext, rounds: Rounds) -> Inserted:
    """Write rounds; announce the calls that are to be sent, and answer the others."""
    calls, cached = rounds.calls, Counter[str]()
    if context.batch.cache:
        calls, cached = _insert_cached(tx, store, context, rounds)
    else:
        store.insert_rows(tx, Call, CALL_COLUMNS, calls)
    if rounds.texts:
        store.insert_rows(tx, StoredText, TEXT_COLUMNS, rounds.texts)
    lane_at, model_at = CALL_COLUMNS.index("lane_id"), CALL_COLUMNS.index("model")
    queued = {(row[lane_at], row[model_at]) for row in calls}
    announce(
        tx,
        store,
        [(lane, model, context.batch.id, context.batch.account_id, 0) for lane, model in queued],
    )
    lanes = {lane.id: lane.provider for lane in context.lanes.values()}
    return Inserted({(lanes[lane_id], lane_id) for lane_id, _ in queued}, cached)


def _insert_cached(
    tx: Tx, store: Store, context: BatchContext, rounds: Rounds
) -> tuple[list[tuple[Any, ...]], Counter[str]]:
    """Write calls of a batch with `cache`; answers those to be sent, and counts the others."""
    keys = [key for job in rounds.jobs for key in keys_of(context.asked_by(job), context.texts)]
    found = find_answers(tx, store, context.batch.account_id, keys)
    queued, answered = [], []
    sources: dict[str, str] = {}
    cached: Counter[str] = Counter()
    for row, key in zip(rounds.calls, keys, strict=True):
        source = found.get(key)
        if source is None:
            queued.append((*row, key))
        else:
            # It has no key: an answer is found where it was given, not where it was copied to.
            now = row[-1]
            answered.append((*row[:_STATE_AT], "succeeded", *row[_STATE_AT + 1 :], now))
            sources[row[0]] = source
            cached[row[1]] += 1
    store.insert_rows(tx, Call, (*CALL_COLUMNS, "cache_key"), queued)
    store.insert_rows(tx, Call, (*CALL_COLUMNS, "closed_at"), answered)
    copy_answers(tx, store, context.batch.id, sources, context.texts)
    return queued, cached


def _call_row(
    context: BatchContext,
    job: JobCalls,
    planned: PlannedCall,
    lane: Lane,
    fixed: tuple[str, datetime, int],
) -> tuple[Any, ...]:
    call_id, now, prompt_tokens = fixed
    params = planned.params
    if planned.messages is not None or params.response_format or params.tools or params.extra:
        messages = planned.messages or job.prompt.messages
        prompt_tokens = input_tokens_max(messages, params)
    max_tokens = context.bound_of(params, lane)
    price = context.terms.price_of(planned.ref.provider, planned.ref.model, lane.billed)
    worst = (
        None
        if price is None or max_tokens is None
        else price.worst_nanos(prompt_tokens, max_tokens)
    )
    meta = None if planned.meta is None else msgspec.json.encode(planned.meta).decode()
    # fmt: off
    return (
        call_id, job.job_id, context.batch_id, context.account_id, lane.id,
        planned.ref.model, planned.label, planned.role.value, job.round, job.position, _fails_fast(context, job, planned), meta,
        "queued", now, 0, 0, 0, 0,
        max_tokens, prompt_tokens + (max_tokens or OUTPUT_TOKENS_GUESS), worst, now,
    )
    # fmt: on


def _fails_fast(context: BatchContext, job: JobCalls, planned: PlannedCall) -> bool:
    """Whoever waits for the only answer there will be is told at once, and may ask again."""
    return planned.fail_fast or (context.batch.interactive and len(job.calls) == 1)


def announce(tx: Tx, store: Store, rows: Sequence[tuple[str, str, str, str, int]]) -> None:
    """Say in the backlog that (lane, model, batch, account) has calls due in so many ms."""
    if not rows:
        return
    names = ("lane_id", "model", "batch_id", "account_id", "delay_ms")
    named = [dict(zip(names, row, strict=True)) for row in rows]
    tx.change(store.sql(_ANNOUNCE), {"rows": msgspec.json.encode(named).decode()})
