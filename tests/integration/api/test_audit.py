"""The audit log over HTTP: for admins, of their own account, by the page."""

from app.accounts.audit import OPERATOR, Action, record_action
from tests.integration.api.conftest import Api


def noted(api: Api, *amounts: int) -> None:
    with api.engine.store.transaction() as tx:
        for amount in amounts:
            record_action(
                tx,
                Action.CREDITS_GRANTED,
                actor=OPERATOR,
                account_id=api.engine.account_id,
                subject="le_1",
                amount_nanos=amount,
            )


def test_actions_are_shown_latest_first_and_by_the_page(api: Api) -> None:
    noted(api, 1, 2, 3)
    first = api.get("/v1/audit", params={"limit": 2}).json()
    rest = api.get("/v1/audit", params={"limit": 2, "after": first["next"]}).json()
    shown = first["data"] + rest["data"]
    assert [one["detail"] for one in shown] == [{"amount_nanos": n} for n in (3, 2, 1)]
    assert rest["next"] is None
    assert (shown[0]["actor"], shown[0]["action"]) == ("operator", "credits.granted")
    assert (shown[0]["subject"], shown[0]["created_at"][-1]) == ("le_1", "Z")


def test_a2_nobody_reads_anothers_log(api: Api) -> None:
    noted(api, 1)
    assert api.get("/v1/audit", key=api.stranger_key()).json()["data"] == []
