"""submit: a batch is accepted whole, with its hold of credits, or not at all."""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Protocol

from sqlalchemy.exc import IntegrityError

from app.accounts.limits import check_quotas
from app.billing import ledger
from app.billing.terms import Terms
from app.db import Store, Tx
from app.domain.errors import ConflictError, InvalidRequestError, UnavailableError
from app.domain.money import dollars_to_nanos
from app.domain.plan import Plan
from app.domain.spec import BatchBody
from app.domain.states import Billed
from app.models import (
    Account,
    Batch,
    IdempotencyKey,
    Lane,
)
from app.pipeline.account_plan import account_plan
from app.pipeline.accounts import default_limits
from app.pipeline.calls import BatchContext
from app.pipeline.context import rules_of, windows_of
from app.pipeline.deadlines import read_deadline, read_start
from app.pipeline.early_texts import EarlyTexts
from app.pipeline.endpoints import add_batch_endpoint, check_webhook
from app.pipeline.keeping import begin_texts, check_keeping
from app.pipeline.lanes import require_lanes, variants_of
from app.pipeline.lines import RawLine, spool_lines
from app.pipeline.new_jobs import NewJobs, insert_jobs, to_plan
from app.pipeline.plan import plan_with
from app.pipeline.prices import priced
from app.pipeline.services import Services
from app.pipeline.specs import keep_spec
from app.pipeline.spool import Spool
from app.pipeline.stop import FIRST_CALLS
from app.pipeline.worst import spool_worst_nanos
from app.queue import Step, send_after_commit
from app.vault.lanes import SIMULATED, ensure_simulated_lane
from app.vault.texts import Texts

IDEMPOTENCY_KEY_CHARS_MAX = 255


@dataclass(frozen=True, slots=True)
class Submission:
    """What a client submits: settings, lines, and how to know it again.

    Attributes:
        retry_of: the batch that is retried.
        retried: the positions of its jobs that are, in the order of the lines.
        interactive: whether somebody waits for the answer.
    """

    account_id: str
    body: BatchBody
    lines: Iterable[RawLine]
    idempotency_key: str | None = None
    body_sha256: str = ""
    retry_of: str | None = None
    retried: Sequence[int] = ()
    interactive: bool = False
    door: "Door | None" = None


@dataclass(frozen=True, slots=True)
class Submitted:
    """The batch, and whether this submission made it."""

    batch_id: str
    created: bool


class Door(Protocol):
    """A door that reads its lines itself, and keeps something beside the batch."""

    def read(self, early: EarlyTexts) -> tuple[Plan, Spool]:
        """The plan, and the lines, checked, some taken early; whoever asks closes them."""

    def keep(self, tx: Tx, batch: Batch) -> None:
        """Write what is the door's own, in the transaction of the submit."""


def submit(services: Services, submission: Submission) -> Submitted:
    """Accept a batch, durably; it starts once this has answered.

    Raises:
        InvalidRequestError: something about the batch or a line is wrong.
        ConflictError: the idempotency key was used with another body.
        InsufficientCreditsError: the account's credits do not cover the hold.
        QuotaError: the account would have more open jobs than it may.
    """
    known = _known(services.store, submission)
    if known is not None:
        return Submitted(known, created=False)
    if submission.body.webhook is not None:
        check_webhook(submission.body.webhook, services.settings)
    try:
        return Submitted(_read_and_accept(services, submission), created=True)
    except IntegrityError:
        # Somebody with the same key was faster; anything else is ours to answer for.
        known = _known(services.store, submission)
        if known is None:
            raise
        return Submitted(known, created=False)


def _read_and_accept(services: Services, submission: Submission) -> str:
    with EarlyTexts(services.store) as early:
        plan, spool = (submission.door or _Lines(services, submission)).read(early)
        with closing(spool):
            spool.flush()
            with services.store.read() as session:
                margin = services.settings.margin_percent
                plan = priced(session, submission.account_id, plan, margin)
            return _accept(services, submission, plan, spool, early)


@dataclass(frozen=True, slots=True)
class _Lines:
    """The native door: one plan, and the lines of the submission."""

    services: Services
    submission: Submission

    def read(self, early: EarlyTexts) -> tuple[Plan, Spool]:
        """The plan that the settings ask for, and the lines held to it."""
        account_id, body = self.submission.account_id, self.submission.body
        with self.services.store.read() as session:
            plan = account_plan(session, account_id, body)
            seal = check_keeping(session, account_id, body)
        rules = replace(rules_of(plan, body, windows_of(plan)), sealed=seal is not None)
        return plan, spool_lines(self.submission.lines, rules, early)

    def keep(self, tx: Tx, batch: Batch) -> None:
        """Nothing."""


def _known(store: Store, submission: Submission) -> str | None:
    """The batch this idempotency key made before.

    Raises:
        ConflictError: it was made by another body.
    """
    if submission.idempotency_key is None:
        return None
    with store.read() as session:
        row = session.get(IdempotencyKey, (submission.account_id, submission.idempotency_key))
    if row is None:
        return None
    if row.body_sha256 != submission.body_sha256:
        raise ConflictError(
            "this Idempotency-Key was used with another body; use a new key for a new batch",
            param="Idempotency-Key",
        )
    return row.batch_id


def _accept(
    services: Services, submission: Submission, plan: Plan, spool: Spool, early: EarlyTexts
) -> str:
    store = services.store
    with early.rest() as tx:
        # Held here, it is read once for all who ask for it in this transaction.
        account = tx.get_one(Account, submission.account_id)
        if any(one.variant.ref.provider == SIMULATED for one in variants_of(plan)):
            ensure_simulated_lane(tx, submission.account_id)
        lanes = require_lanes(tx, submission.account_id, variants_of(plan))
        now = store.now(tx)
        batch = _new_batch(submission, plan, early.batch_id, spool.count, now)
        batch.seal = check_keeping(tx, submission.account_id, submission.body)
        check_prices(plan, lanes, submission.body)
        tx.add(batch)
        tx.flush()
        keep_spec(tx, batch, plan, submission.body)
        _remember(tx, submission, batch.id, now)
        if submission.door is not None:
            submission.door.keep(tx, batch)
        if submission.body.webhook is not None:
            add_batch_endpoint(tx, services.vault, account, batch.id, submission.body.webhook, now)
        tx.flush()
        texts = _begin_texts(tx, services, batch, early)
        insert_jobs(tx, store, NewJobs(batch, spool, texts, submission.retried))
        _hold_credits(tx, services, batch, plan, lanes, spool)
        check_quotas(tx, store, batch.account_id, default_limits(services.settings))
        if submission.interactive:
            default = services.settings.max_tokens_default
            context = BatchContext(batch, plan, lanes, default, texts)
            plan_with(tx, services, context, to_plan(batch, spool), now)
        else:
            send_after_commit(tx, services.queue, Step.PLAN, batch.id)
    return batch.id


def _begin_texts(tx: Tx, services: Services, batch: Batch, early: EarlyTexts) -> Texts:
    texts = begin_texts(tx, services.vault, batch)
    if texts.is_sealed and early.has_begun:
        raise UnavailableError("the account began to seal its texts just now; submit again")
    return texts


def _new_batch(
    submission: Submission, plan: Plan, batch_id: str, jobs: int, now: datetime
) -> Batch:
    body = submission.body
    starts = read_start(body.not_before, now)
    return Batch(
        id=batch_id,
        account_id=submission.account_id,
        name=body.name,
        mode=plan.mode_of_all,
        priority=body.priority,
        interactive=submission.interactive,
        at_most_once=body.at_most_once,
        # Of all jobs or more it is no sample: there would be nothing to wait with.
        sample=body.sample if body.sample is not None and body.sample < jobs else None,
        stop_if_failed_percent=body.stop_if_failed_percent,
        first_left=FIRST_CALLS if body.stop_if_failed_percent is not None else 0,
        cache=body.cache,
        retry_of=submission.retry_of,
        input_file_id=body.input_file_id,
        created_at=now,
        not_before=starts,
        deadline=read_deadline(body.deadline, max(now, starts or now)),
        jobs_total=jobs,
        jobs_queued=jobs,
        cap_nanos=None if body.budget_usd is None else dollars_to_nanos(body.budget_usd),
    )


def check_prices(plan: Plan, lanes: Mapping[str, Lane], body: BatchBody) -> None:
    """An unknown price is never $0: it cannot be held to a budget, nor charged as credits.

    Raises:
        InvalidRequestError: a model's price is not known and would have to be.
    """
    terms = Terms(plan.prices, plan.margin_percent)
    for field, _, variant in variants_of(plan):
        lane = lanes.get(variant.ref.provider)
        billed = Billed.BYOK if lane is None else lane.billed
        if terms.price_of(variant.ref.provider, variant.ref.model, billed) is not None:
            continue
        if billed == Billed.CREDITS:
            raise InvalidRequestError(
                f"{field}: the price of {variant.ref} is not known, so it cannot be paid with "
                "credits; use a key of your own",
                param=field,
            )
        if body.budget_usd is not None and body.unpriced == "refuse":
            raise InvalidRequestError(
                f"{field}: the price of {variant.ref} is not known, so the budget could not hold "
                'it; leave out budget_usd, or set "unpriced": "allow" to leave it uncounted',
                param=field,
            )


def _remember(tx: Tx, submission: Submission, batch_id: str, now: datetime) -> None:
    key = submission.idempotency_key
    if key is not None:
        tx.add(
            IdempotencyKey(
                account_id=submission.account_id,
                key=key,
                body_sha256=submission.body_sha256,
                batch_id=batch_id,
                created_at=now,
            )
        )


def _hold_credits(
    tx: Tx, services: Services, batch: Batch, plan: Plan, lanes: dict[str, Lane], spool: Spool
) -> None:
    billed = {name: lane.billed for name, lane in lanes.items() if lane.billed == Billed.CREDITS}
    worst = spool_worst_nanos(plan, spool, billed, services.settings.max_tokens_default)
    amount = worst if batch.cap_nanos is None else min(worst, batch.cap_nanos)
    if amount > 0:
        ledger.hold(tx, services.store, batch.account_id, batch.id, amount)
