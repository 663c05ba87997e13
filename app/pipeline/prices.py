"""Prices of an account's own: set, listed, and fixed in the plan of every batch."""

from collections.abc import Iterable
from decimal import Decimal
from typing import NamedTuple

import msgspec
import sqlalchemy as sa
from sqlmodel import Session, col, select

from app.accounts.audit import Action, record_action
from app.billing.rates import rate_of
from app.db import Store, Tx
from app.domain.errors import InvalidRequestError
from app.domain.plan import OwnPrice, Plan
from app.domain.prompt import ModelRef
from app.domain.states import Billed
from app.models import OwnPriceRow
from app.pipeline.lanes import variants_of
from app.pipeline.variants import cheapest_first
from app.providers import registry

PRICES_MAX = 1000
#: Of a million tokens; what is dearer was meant as something else.
DOLLARS_MAX = 1_000_000


class GivenPrice(NamedTuple):
    """A price as somebody states it, in dollars per million tokens."""

    model: str
    input_usd: Decimal
    output_usd: Decimal
    cache_read_usd: Decimal | None = None


def own_prices(session: Session, account_id: str) -> tuple[OwnPrice, ...]:
    """Every price that an account has of its own, by model."""
    rows = session.exec(
        select(OwnPriceRow)
        .where(OwnPriceRow.account_id == account_id)
        .order_by(col(OwnPriceRow.provider), col(OwnPriceRow.model), col(OwnPriceRow.billed))
    )
    return tuple(
        OwnPrice(
            row.provider,
            row.model,
            row.billed,
            row.input_micros,
            row.output_micros,
            row.cache_read_micros,
        )
        for row in rows
    )


def priced(session: Session, account_id: str, plan: Plan, margin_percent: int) -> Plan:
    """The plan with what its models cost this account, fixed for as long as the batch runs."""
    asked = {(one.variant.ref.provider, one.variant.ref.model) for one in variants_of(plan)}
    prices = tuple(
        one for one in own_prices(session, account_id) if (one.provider, one.model) in asked
    )
    plan = msgspec.structs.replace(plan, prices=prices, margin_percent=margin_percent)
    return cheapest_first(plan)


def replace_prices(
    tx: Tx, account_id: str, billed: Billed, given: Iterable[GivenPrice], *, actor: str
) -> None:
    """Set all of an account's own prices for calls that are so billed.

    Raises:
        InvalidRequestError: naming the entry at fault.
    """
    prices = [_checked(index, billed, one) for index, one in enumerate(given)]
    if len(prices) > PRICES_MAX:
        raise InvalidRequestError(f"prices: at most {PRICES_MAX}", param="prices")
    named = [f"{one.provider}/{one.model}" for one in prices]
    if twice := next((name for name in named if named.count(name) > 1), None):
        raise InvalidRequestError(f"prices: {twice} has two", param="prices")
    now = Store.now(tx)
    tx.run(
        sa.delete(OwnPriceRow).where(
            col(OwnPriceRow.account_id) == account_id, col(OwnPriceRow.billed) == billed.value
        )
    )
    for one in prices:
        values = msgspec.structs.asdict(one)
        tx.add(OwnPriceRow(account_id=account_id, created_at=now, **values))
    record_action(
        tx,
        Action.PRICES_SET,
        actor=actor,
        account_id=account_id,
        billed=billed.value,
        micros=[
            f"{name} {one.input_micros}/{one.cache_read_micros}/{one.output_micros}"
            for name, one in zip(named, prices, strict=True)
        ],
    )


def _checked(index: int, billed: Billed, given: GivenPrice) -> OwnPrice:
    where = f"prices[{index}]"
    ref = ModelRef.parse(given.model, param=f"{where}.model")
    if not registry.is_known(ref.provider):
        raise InvalidRequestError(
            f"{where}.model: provider {ref.provider[:80]!r} is not known", param=f"{where}.model"
        )
    cached = given.cache_read_usd
    return OwnPrice(
        ref.provider,
        ref.model,
        billed.value,
        _micros(given.input_usd, f"{where}.input_usd"),
        _micros(given.output_usd, f"{where}.output_usd"),
        None if cached is None else _micros(cached, f"{where}.cache_read_usd"),
    )


def _micros(dollars: Decimal, field: str) -> int:
    problem = f"{field}: dollars for a million tokens, from 0 to {DOLLARS_MAX:,}"
    if not dollars.is_finite() or not 0 <= dollars <= DOLLARS_MAX:
        raise InvalidRequestError(problem, param=field)
    return rate_of(dollars)
