"""Cursors: another account's is as good as none, and one that was tampered with is refused.

A cursor is the id of the last thing that was seen, so there is nothing in it to forge: whoever
makes one up sees what comes before it of their own.
"""

from collections.abc import Iterator

import pytest

from api.main import create_app
from app.billing.ledger import grant
from app.domain.ids import Prefix, new_id
from tests.integration.api.conftest import Api, on_sqlite, refused

#: Pages in the order of their ids; those of results go by a number.
PREFIXES = {
    "/v1/batches": Prefix.BATCH,
    "/v1/credits/transactions": Prefix.LEDGER_ENTRY,
    "/v1/audit": Prefix.AUDIT_ENTRY,
    "/v1/api-keys": Prefix.API_KEY,
}


def lists() -> Iterator[str]:
    for path, operations in create_app().openapi()["paths"].items():
        parameters = operations.get("get", {}).get("parameters", ())
        if path.startswith("/v1") and any(one["name"] == "after" for one in parameters):
            yield path


LISTS = [path for path in lists() if "{" not in path]


def fill(api: Api) -> None:
    api.submit("a")
    api.post("/v1/api-keys", json={"name": "x", "scopes": ["read"]})
    with api.engine.store.transaction() as tx:
        grant(tx, api.engine.store, api.engine.account_id, 5, idempotency_key="k")


def test_a2_a_list_never_shows_anothers_whatever_its_cursor(api: Api) -> None:
    stranger = api.stranger_key()
    fill(api)
    for path, prefix in PREFIXES.items():
        mine = [one["id"] for one in api.get(path).json()["data"]]
        assert mine, path
        for after in (None, mine[0], new_id(prefix)):
            query = {"after": after} if after else {}
            answer = api.get(path, params=query, key=stranger)
            assert answer.status_code == 200, path
            assert set(mine).isdisjoint(one["id"] for one in answer.json()["data"]), path


@on_sqlite
@pytest.mark.parametrize("path", LISTS)
def test_a2_a_cursor_that_was_tampered_with_is_refused(api: Api, path: str) -> None:
    wrong = new_id(Prefix.REQUEST)
    for after in (wrong, "x", "", "' OR 1=1 --", "le_" + "u" * 26, f"{wrong}\n", "a" * 10_000):
        refused(api.get(path, params={"after": after}), 422, "after")
