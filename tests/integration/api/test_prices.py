"""Prices of the account's own over HTTP: exact, all at once, and nobody else's."""

from decimal import Decimal
from typing import Any

import pytest

from app.accounts.audit import OPERATOR
from app.domain.states import Billed
from app.pipeline.prices import GivenPrice, replace_prices
from tests.integration.api.conftest import Api, on_sqlite, refused

OWN = {"model": "custom:local/any", "input_usd": "0.0375", "output_usd": 1.5}
PATH = "/v1/settings/prices"


def put(api: Api, *prices: dict[str, Any], **options: Any) -> Any:
    return api.call("PUT", PATH, json={"prices": list(prices)}, **options)


def test_prices_are_kept_exactly_and_replaced_whole(api: Api) -> None:
    cached = OWN | {"model": "openai/gpt-4o", "cache_read_usd": 0}
    assert put(api, OWN, cached).status_code == 200
    shown = api.get(PATH).json()["data"]
    assert shown == [
        {
            "model": "custom:local/any",
            "billed": "byok",
            "input_usd": "0.0375",
            "cache_read_usd": None,
            "output_usd": "1.50",
        },
        {
            "model": "openai/gpt-4o",
            "billed": "byok",
            "input_usd": "0.0375",
            "cache_read_usd": "0.00",
            "output_usd": "1.50",
        },
    ]
    assert [one["model"] for one in put(api, cached).json()["data"]] == ["openai/gpt-4o"]
    assert put(api).json()["data"] == []


def test_nobody_sets_what_is_paid_with_credits(api: Api) -> None:
    price = GivenPrice("openai/gpt-4o", Decimal(1), Decimal(2))
    with api.engine.store.transaction() as tx:
        replace_prices(tx, api.engine.account_id, Billed.CREDITS, [price], actor=OPERATOR)
    shown = put(api, OWN).json()["data"]
    assert [(one["model"], one["billed"]) for one in shown] == [
        ("custom:local/any", "byok"),
        ("openai/gpt-4o", "credits"),
    ]


def test_a1_nobody_sees_or_pays_anothers_prices(api: Api) -> None:
    put(api, OWN)
    assert api.get(PATH, key=api.stranger_key()).json()["data"] == []


def test_models_are_listed_with_the_account_s_own_price(api: Api) -> None:
    put(api, {"model": "simulated/gold", "input_usd": 7, "output_usd": 9})
    models = {one["model"]: one for one in api.get("/v1/models").json()["data"]}
    assert models["simulated/gold"]["price"]["input_usd"] == "7.00"


def test_that_prices_were_set_is_in_the_audit_log(api: Api) -> None:
    put(api, OWN)
    entry = api.get("/v1/audit").json()["data"][0]
    assert (entry["action"], entry["detail"]["billed"]) == ("prices.set", "byok")
    assert entry["detail"]["micros"] == ["custom:local/any 37500/None/1500000"]


@on_sqlite
@pytest.mark.parametrize(
    ("price", "param"),
    [
        (OWN | {"input_usd": -1}, "prices[0].input_usd"),
        (OWN | {"output_usd": "NaN"}, "prices[0].output_usd"),
        (OWN | {"output_usd": 1_000_001}, "prices[0].output_usd"),
        (OWN | {"cache_read_usd": "-0.01"}, "prices[0].cache_read_usd"),
        (OWN | {"model": "nobody/any"}, "prices[0].model"),
        (OWN | {"model": "gpt-4o"}, "prices[0].model"),
        (OWN | {"currency": "EUR"}, "prices[0]"),
    ],
    ids=str,
)
def test_b9_a_price_that_makes_no_sense_is_refused(
    api: Api, price: dict[str, Any], param: str
) -> None:
    refused(put(api, price), 422, param)
    assert api.get(PATH).json()["data"] == []


@on_sqlite
def test_a_model_has_one_price(api: Api) -> None:
    assert "has two" in refused(put(api, OWN, OWN), 422, "prices")
