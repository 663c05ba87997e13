"""A purge leaves amounts and nothing else, on both stores; a deleted account lets nobody in."""

from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from sqlmodel import select

from app.accounts.accounts import first_account_id
from app.billing.ledger import grant
from app.db import Store
from app.domain.errors import NotFoundError, UnavailableError
from app.models import Account, LedgerEntry, Table, UsageRollup, UsageRow
from app.pipeline import purge as use_case
from app.pipeline.accounts import webhook_secret_of
from app.pipeline.laws import check_laws
from app.pipeline.record import record
from app.queue import Step
from app.vault.custody import check_vault
from tests.factories.deliveries import FakeSender, deliver, pass_the_wait
from tests.factories.searching import tables_with
from tests.integration.api.conftest import Api, refused, submission
from tests.integration.api.openai.conftest import client_with
from tests.integration.api.openai.test_batches import create, line, run

CANARY = "canary-8d21"
PROMPT = f"prompt-{CANARY}"
KEY = f"sk-{CANARY}-tail"
HOOK = f"http://127.0.0.1:9/{CANARY}"
#: What of an account a purge leaves, and why that says nothing of its content.
STAYS = {
    "account",  # its balance, and its own settings
    "api_key",  # which go with the account
    "audit_entry",  # ids
    "lane",  # closed, and leading nowhere
    "ledger_entry",  # amounts
    "own_price",  # which go with the account
    "purge",  # the receipt
    "usage",  # amounts
    "usage_rollup",  # amounts
    "vital",  # of the installation
    "worker",  # of the installation
}
GOES_WITH_THE_ACCOUNT = {"api_key", "lane", "own_price"}


def fill(api: Api, label: str = "gold") -> dict[str, Any]:
    """A batch with everything there is: answers, a verdict, a file, a key, a webhook."""
    key = {"api_key": KEY, "base_url": f"http://127.0.0.1:9/{CANARY}"}
    assert api.call("PUT", "/v1/settings/keys/custom:x", json=key).status_code == 200
    line = b'{"custom_id": "%s", "prompt": "%s"}\n' % (CANARY.encode(), PROMPT.encode())
    assert api.post("/v1/files", files={"file": (f"{CANARY}.jsonl", line)}).status_code == 201
    return api.submit(
        *[f"{PROMPT} {n}" for n in range(3)],
        name=CANARY,
        mode="judge",
        models=[{"model": "simulated/gold", "label": label}, "simulated/silver"],
        judge={"judges": ["simulated/judge"], "criteria": [CANARY]},
        metadata={"who": CANARY},
        webhook={"url": HOOK},
    )


def purged(api: Api) -> dict[str, Any]:
    begun = api.post("/v1/account/purge")
    assert begun.status_code == 202, begun.text
    api.engine.drain()
    shown: dict[str, Any] = api.get(f"/v1/account/purges/{begun.json()['id']}").json()
    return shown


def bytes_of(store: Store, data_dir: Path) -> bytes:
    """Every byte of the data directory, SQLite's file and its write-ahead log among them."""
    assert store.is_sqlite
    files = [path for path in sorted(data_dir.rglob("*")) if path.is_file()]
    return b"".join(path.read_bytes() for path in files)


def amounts(store: Store) -> list[list[str]]:
    with store.read() as session:
        return [
            sorted(row.model_dump_json(exclude={"label"}) for row in session.exec(select(table)))
            for table in (UsageRow, UsageRollup, LedgerEntry)
        ]


def test_k9_b10_after_a_purge_amounts_are_left_and_nothing_else(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.pipeline.erase.WINDOW", 2)
    store, data_dir = api.engine.store, api.engine.services.settings.data_dir
    batch = fill(api)
    api.engine.drain()
    before = amounts(store)
    assert tables_with(store, CANARY) >= {"stored_text", "batch", "batch_spec", "file"}
    receipt = purged(api)
    assert receipt["finished_at"]
    counts = receipt["counts"]
    assert (counts["batches"], counts["jobs"], counts["verdict"], counts["files"]) == (1, 3, 3, 1)
    assert (counts["provider_keys"], counts["endpoints"]) == (1, 1)
    assert counts["prompt"] == 3
    assert counts["answer"] == 9
    assert tables_with(store, CANARY) == set()
    assert amounts(store) == before
    assert not list((data_dir / "files").iterdir())
    if store.is_sqlite:
        assert CANARY.encode() not in bytes_of(store, data_dir)
    for path in (f"/v1/batches/{batch['id']}", f"/v1/batches/{batch['id']}/results"):
        refused(api.get(path), 404)
    used = api.get("/v1/usage").json()
    assert sum(one["calls"] for one in used["totals"]) == 9
    with store.read() as session:
        assert check_laws(session, store) == []
    assert api.finished(PROMPT, mode="chat")["state"] == "completed"


def test_k9_an_open_batch_is_cancelled_and_its_calls_in_flight_are_waited_for(api: Api) -> None:
    engine = api.engine
    fill(api)
    engine.follow(*engine.queue.hints.popleft())
    in_flight = engine.claim(wanted=2)
    begun = api.post("/v1/account/purge").json()
    again = api.post("/v1/account/purge").json()
    assert again["id"] == begun["id"]
    while engine.queue.hints:
        engine.follow(*engine.queue.hints.popleft())
    path = f"/v1/account/purges/{begun['id']}"
    assert api.get(path).json()["finished_at"] is None
    record(engine.services, engine.carry_all(in_flight))
    engine.drain()
    engine.follow(Step.RECONCILE, ())
    engine.drain()
    shown = api.get(path).json()
    assert shown["finished_at"]
    assert shown["counts"]["batches_cancelled"] == 1
    assert tables_with(engine.store, CANARY) == set()


def test_w10_deliveries_that_wait_stop_and_nothing_more_is_sent(api: Api) -> None:
    store = api.engine.store
    fill(api)
    api.engine.drain()
    with store.read() as session:
        waiting = (
            session.execute(
                sa.text("SELECT id FROM delivery WHERE state = 'queued' AND attempts > 0")
            )
            .scalars()
            .all()
        )
    assert waiting
    begun = api.post("/v1/account/purge")
    assert begun.status_code == 202
    pass_the_wait(api.engine.services)
    assert use_case.purge(api.engine.services, begun.json()["id"])
    sender = FakeSender([])
    assert deliver(api.engine.services, sender) == 0
    assert sender.requests == []
    with store.read() as session:
        for table in ("delivery", "event", "endpoint"):
            assert session.execute(sa.text(f"SELECT COUNT(*) FROM {table}")).scalar_one() == 0


def test_a_purge_that_was_cut_short_goes_on_where_it_was(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.pipeline.erase.WINDOW", 1)
    fill(api)
    api.engine.drain()
    begun = api.post("/v1/account/purge").json()
    real, chunks = use_case._chunk, []

    def cut(*given: Any) -> bool:
        chunks.append(1)
        if len(chunks) % 3 == 0:
            raise UnavailableError
        return real(*given)

    monkeypatch.setattr(use_case, "_chunk", cut)
    cuts = 0
    while cuts < 50:
        try:
            use_case.purge(api.engine.services, begun["id"])
            break
        except UnavailableError:
            cuts += 1
            with api.engine.store.read() as session:
                assert check_laws(session, api.engine.store) == []
    monkeypatch.undo()
    assert cuts > 3
    use_case.purge(api.engine.services, begun["id"])
    shown = api.get(f"/v1/account/purges/{begun['id']}").json()
    assert (shown["counts"]["jobs"], shown["counts"]["prompt"]) == (3, 3)
    assert tables_with(api.engine.store, CANARY) == set()


def test_k9_a_purge_leaves_other_accounts_alone(api: Api) -> None:
    stranger = api.stranger_key()
    body = {"mode": "chat", "models": ["simulated/gold"], "jobs": [{"prompt": "theirs"}]}
    made = api.post("/v1/batches", json=body, key=stranger).json()
    fill(api)
    api.engine.drain()
    receipt = purged(api)
    lines = api.get(f"/v1/batches/{made['id']}/results", key=stranger).json()["data"]
    assert lines[0]["completions"][0]["text"]
    refused(api.get(f"/v1/account/purges/{receipt['id']}", key=stranger), 404)


def test_a_deleted_account_lets_nobody_in_and_nothing_names_it(api: Api) -> None:
    store, account_id = api.engine.store, api.engine.account_id
    other = api.engine.new_account()
    fill(api)
    api.engine.drain()
    assert api.call("DELETE", "/v1/account").status_code == 202
    assert api.get("/v1/batches").status_code == 401
    api.engine.drain()
    assert tables_with(store, CANARY) == set()
    with store.read() as session:
        account = session.get_one(Account, account_id)
        assert (account.name, account.data_key_wrapped, account.data_key_kid) == ("", "", "")
        assert account.deleted_at is not None
        assert check_laws(session, store) == []
        assert first_account_id(session) == other
        with pytest.raises(NotFoundError):
            webhook_secret_of(session, api.engine.services.vault, account_id)
        for table in ("api_key", "lane", "provider_key"):
            count = sa.text(f"SELECT COUNT(*) FROM {table} WHERE account_id = :id")
            assert session.execute(count, {"id": account_id}).scalar_one() == 0
    check_vault(store, api.engine.services.vault)


def full_tables(store: Store) -> set[str]:
    with store.read() as session:
        return {
            name
            for name, table in Table.metadata.tables.items()
            if session.execute(sa.select(sa.literal(1)).select_from(table).limit(1)).first()
        }


def fill_every_table(api: Api) -> None:
    """One account with a row of everything, some of it under way and some of it closed."""
    engine = api.engine
    with engine.store.transaction() as tx:
        grant(tx, engine.store, engine.account_id, 1_000, idempotency_key="first")
    prices = {"prices": [{"model": "openai/gpt-5", "input_usd": 1, "output_usd": 2}]}
    assert api.call("PUT", "/v1/settings/prices", json=prices).status_code == 200
    engine.follow(Step.RECONCILE, ())
    client = client_with(api, api.admin_key)
    run(api, client, line("a"))
    create(client, {"no": CANARY})
    fill(api, label=CANARY)
    engine.drain()
    body = submission("Kept until it is fetched.", retention="none")
    headers = {"Idempotency-Key": CANARY}
    assert api.post("/v1/batches", json=body, headers=headers).status_code == 201
    while engine.queue.hints:
        engine.follow(*engine.queue.hints.popleft())


@pytest.mark.parametrize("is_account", [False, True])
def test_every_table_is_purged_or_known_to_stay(api: Api, *, is_account: bool) -> None:
    store = api.engine.store
    fill_every_table(api)
    assert Table.metadata.tables.keys() - full_tables(store) == {"purge"}, "fill what is new"
    assert "usage" in tables_with(store, CANARY)
    method, path = ("DELETE", "/v1/account") if is_account else ("POST", "/v1/account/purge")
    assert api.call(method, path).status_code == 202
    for _ in range(2):  # what was open is closed by then
        api.engine.drain()
        api.engine.follow(Step.RECONCILE, ())
    api.engine.drain()
    stays = STAYS - GOES_WITH_THE_ACCOUNT if is_account else STAYS
    assert full_tables(store) == stays
    assert tables_with(store, CANARY) == set()
