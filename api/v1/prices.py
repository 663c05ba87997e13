"""Prices of the account's own: what it has agreed on with a provider, or what its server costs."""

from decimal import Decimal
from typing import Annotated

import msgspec
from fastapi import APIRouter, Depends, Response

from api.account_views import OwnPriceList, OwnPriceView
from api.answers import answer, answers
from api.body import SMALL_BYTES_MAX, Body, body_of, decode
from api.deps import Admin, Reader, WithServices
from app.db import Commit
from app.domain.states import Billed
from app.pipeline.prices import GivenPrice, own_prices, replace_prices
from app.pipeline.services import Services

router = APIRouter(prefix="/v1/settings/prices", tags=["settings"])


class PriceBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A model's price in dollars per million tokens, as a number or as exact text."""

    model: str
    input_usd: Decimal
    output_usd: Decimal
    cache_read_usd: Decimal | None = None


class PricesBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All prices of the account's own: what is left out has the list's price again."""

    prices: list[PriceBody]


@router.get("", **answers(OwnPriceList))
def prices(principal: Reader, services: WithServices) -> Response:
    """The prices that take the place of the list's, the operator's for credits among them."""
    return _shown(services, principal.account_id)


@router.put("", **answers(OwnPriceList, body="PricesBody"))
def put_prices(
    principal: Admin,
    services: WithServices,
    body: Annotated[Body, Depends(body_of(SMALL_BYTES_MAX))],
) -> Response:
    """Set all prices of calls with the account's own keys, for batches submitted from now on."""
    given = decode(body.data, PricesBody)
    stated = [
        GivenPrice(one.model, one.input_usd, one.output_usd, one.cache_read_usd)
        for one in given.prices
    ]
    with services.store.transaction(Commit.PRICES) as tx:
        replace_prices(tx, principal.account_id, Billed.BYOK, stated, actor=principal.api_key_id)
    return _shown(services, principal.account_id)


def _shown(services: Services, account_id: str) -> Response:
    with services.store.read() as session:
        found = own_prices(session, account_id)
    return answer(OwnPriceList([OwnPriceView.of(one) for one in found]))
