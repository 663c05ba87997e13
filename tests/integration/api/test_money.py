"""Credits over HTTP: the balance, and its movements by the page."""

from app.billing.ledger import grant
from tests.integration.api.conftest import Api


def granted(api: Api, *amounts: int) -> None:
    with api.engine.store.transaction() as tx:
        for number, amount in enumerate(amounts):
            grant(
                tx,
                api.engine.store,
                api.engine.account_id,
                amount,
                idempotency_key=str(number),
                note=f"grant {number}",
            )


def test_the_balance_adds_up(api: Api) -> None:
    granted(api, 1_000, 2_000)
    balance = api.get("/v1/credits").json()
    assert balance == {
        "granted_nanos": 3_000,
        "available_nanos": 3_000,
        "held_nanos": 0,
        "spent_nanos": 0,
        "overrun_nanos": 0,
    }


def test_movements_are_latest_first_and_read_by_the_page(api: Api) -> None:
    granted(api, *range(1, 6))
    seen, after = [], None
    for _ in range(3):
        query = {"limit": 2} | ({"after": after} if after else {})
        page = api.get("/v1/credits/transactions", params=query).json()
        seen += [entry["amount_nanos"] for entry in page["data"]]
        after = page["next"]
    assert seen == [5, 4, 3, 2, 1]
    assert after is None


def test_a1_nobody_sees_anothers_money(api: Api) -> None:
    granted(api, 1_000)
    stranger = api.stranger_key()
    assert api.get("/v1/credits", key=stranger).json()["granted_nanos"] == 0
    assert api.get("/v1/credits/transactions", key=stranger).json()["data"] == []
