"""What an estimate says against a submission: why it would be refused, or not come to its end."""

from collections.abc import Mapping
from datetime import datetime

import msgspec
from sqlmodel import Session

from app.billing.ledger import balance_of
from app.domain.errors import InvalidRequestError
from app.domain.money import dollars_to_nanos
from app.domain.plan import Plan
from app.domain.spec import BatchBody
from app.models import Lane
from app.pipeline.context import Windows
from app.pipeline.deadlines import read_deadline
from app.pipeline.lanes import require_lanes, variants_of
from app.pipeline.submit import check_prices
from app.vault.lanes import SIMULATED


class Problem(msgspec.Struct, frozen=True):
    """Why submitting this would be refused, or would not come to its end."""

    message: str
    param: str | None = None


def lane_problems(
    session: Session, account_id: str, plan: Plan, lanes: Mapping[str, Lane], body: BatchBody
) -> list[Problem]:
    """Providers without a key, and models without a price that would need one."""
    problems = []
    try:
        asked = [one for one in variants_of(plan) if one.variant.ref.provider != SIMULATED]
        require_lanes(session, account_id, asked)
    except InvalidRequestError as error:
        problems.append(Problem(error.message, error.param))
    try:
        check_prices(plan, lanes, body)
    except InvalidRequestError as error:
        problems.append(Problem(error.message, error.param))
    return problems


def length_problems(windows: Windows) -> list[Problem]:
    """Prompts that were found too long for a model, or to leave too little for its answer."""
    problems = []
    for one in windows.of:
        name, tokens = one.first
        told = f"{one.model} takes at most {one.tokens:,} tokens, its answer included"
        example = f"the first is {name}, with about {tokens:,}"
        if one.too_long:
            message = f"{told}, and {one.too_long:,} of the prompts have more; {example}"
        elif one.doubtful:
            answer = f" and {one.answer_tokens:,} for the answer" if one.answer_tokens else ""
            message = f"{told}, and {one.doubtful:,} of the prompts may not fit; {example}{answer}"
        else:
            continue
        problems.append(Problem(message, one.field))
    return problems


def money_problems(
    session: Session, account_id: str, body: BatchBody, *, cost_nanos: int, credits_nanos: int
) -> list[Problem]:
    """Where the money does not reach, as far as is expected."""
    problems = []
    cap = None if body.budget_usd is None else dollars_to_nanos(body.budget_usd)
    if cap is not None and cap < cost_nanos:
        problems.append(
            Problem(
                "budget_usd: is less than this is expected to cost; what it does not reach "
                "would end as budget_exhausted",
                "budget_usd",
            )
        )
    if credits_nanos > balance_of(session, account_id).available_nanos:
        problems.append(Problem("the account has fewer credits than this is expected to cost"))
    return problems


def time_problems(body: BatchBody, now: datetime, seconds: float) -> list[Problem]:
    """A deadline that is none, or that comes before so many seconds of work are done."""
    starts = max(now, body.not_before or now)
    try:
        deadline = read_deadline(body.deadline, starts)
    except InvalidRequestError as error:
        return [Problem(error.message, error.param)]
    if deadline is None or (deadline - starts).total_seconds() >= seconds:
        return []
    return [Problem("deadline: is before this is expected to be done", "deadline")]


def notes_on(plan: Plan, twins: int) -> list[str]:
    """What is no fault, and may not be meant. `twins` are jobs that ask what another asks."""
    notes = []
    if twins:
        notes.append(f"{twins} jobs ask what another job asks already")
    cells: dict[bytes, str] = {}
    for variant in plan.variants:
        cell = msgspec.json.encode([str(variant.ref), variant.params, variant.repeat])
        if cell in cells:
            notes.append(f"{variant.label} is asked the same as {cells[cell]}")
        cells.setdefault(cell, variant.label)
    contestants = {str(variant.ref) for variant in plan.variants}
    judges = plan.judge.judges if plan.judge is not None else ()
    notes += [
        f"{judge.ref} judges and is judged; its own answers are marked"
        for judge in judges
        if str(judge.ref) in contestants
    ]
    if plan.judge is not None and plan.judge.escalate_below is not None:
        notes.append("the calls of judges are those of a cascade that asks them all, every time")
    return notes
