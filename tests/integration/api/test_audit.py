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
    shown = [one for one in first["data"] + rest["data"] if one["subject"] == "le_1"]
    assert [one["detail"] for one in shown] == [{"amount_nanos": n} for n in (3, 2, 1)]
    end = api.get("/v1/audit", params={"limit": 200}).json()
    assert (end["next"], end["data"][:2]) == (None, first["data"])
    assert (shown[0]["actor"], shown[0]["action"]) == ("operator", "credits.granted")
    assert (shown[0]["subject"], shown[0]["created_at"][-1]) == ("le_1", "Z")


def test_a2_nobody_reads_anothers_log(api: Api) -> None:
    noted(api, 1)
    theirs = api.get("/v1/audit", key=api.stranger_key()).json()["data"]
    assert [one["action"] for one in theirs] == ["api_key.created", "account.created"]
