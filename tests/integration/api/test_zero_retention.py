"""Zero retention: readable until it was fetched, and then by nobody, whatever they kept."""

from datetime import UTC, datetime, timedelta
from typing import Any

import httpx2
import pytest
import sqlalchemy as sa
from sqlmodel import select

from app.db import Store
from app.domain.errors import GoneError, SealError
from app.models import Batch, TextKey
from app.pipeline.laws import check_laws
from app.pipeline.retention import enforce_retention, turn_keyring
from app.queue import Step
from app.vault.keyring import Keyring
from app.vault.master import Vault
from app.vault.text_keys import cipher_of_batch
from tests.factories.searching import tables_with
from tests.integration.api.conftest import Api, on_sqlite, refused, submission

PROMPT = "prompt-canary-c0de"
LINE = b'{"custom_id": "c1", "prompt": "%s"}\n' % PROMPT.encode()
NONE = {"retention": "none"}


def upload(api: Api, retention: str | None = "none") -> httpx2.Response:
    data = {} if retention is None else {"retention": retention}
    return api.post("/v1/files", files={"file": ("in.jsonl", LINE)}, data=data)


def submit_file(api: Api, file_id: str, **fields: Any) -> httpx2.Response:
    fields = {"mode": "chat"} | fields
    return api.post("/v1/batches", json=submission(jobs=None, input_file_id=file_id) | fields)


def ack(api: Api, batch_id: str) -> httpx2.Response:
    return api.post(f"/v1/batches/{batch_id}/results/ack")


def age(store: Store, table: str, column: str, **back: float) -> None:
    """Let what is in a column have happened so long ago."""
    with store.transaction() as tx:
        tx.run(
            store.sql(f"UPDATE {table} SET {column} = {{after_ms(:ms)}}"),
            {"ms": -round(timedelta(**back).total_seconds() * 1000)},
        )


def check_gone(api: Api, batch: dict[str, Any], reason: str, words: str) -> None:
    """Results, report, retry and job are no more; what it came to and cost is."""
    path, jobs = f"/v1/batches/{batch['id']}", f"/v1/jobs/{batch['id'].replace('batch', 'job')}0000"
    for answer in (
        api.get(f"{path}/results"),
        *(api.get(f"{path}/results?format={form}") for form in ("jsonl", "csv", "parquet")),
        api.get(f"{path}/report"),
        api.get(jobs),
        ack(api, batch["id"]),
    ):
        assert words in refused(answer, 410)
    shown = api.get(path).json()
    assert shown["text_gone"]["reason"] == reason
    assert (shown["counts"], shown["cost"]) == (batch["counts"], batch["cost"])
    with api.engine.store.read() as session:
        assert check_laws(session, api.engine.store) == []


@pytest.mark.parametrize("mode", ["chat", "judge"])
def test_k10_results_can_be_fetched_until_they_are_acknowledged(api: Api, mode: str) -> None:
    judge = {"judge": {"judges": ["simulated/judge"]}} if mode == "judge" else {}
    models = ["simulated/gold", "simulated/silver"] if mode == "judge" else ["simulated/gold"]
    batch = api.finished(PROMPT, mode=mode, models=models, **judge, **NONE)
    assert (batch["retention"], batch["sealed"], batch["text_gone"]) == ("none", True, None)
    assert tables_with(api.engine.store, PROMPT) == set()
    for _ in range(2):
        answer = api.get(f"/v1/batches/{batch['id']}/results").json()
        assert answer["data"][0]["completions"][0]["text"]
    assert ack(api, batch["id"]).status_code == 204
    check_gone(api, batch, "acknowledged", "its results were acknowledged")
    assert refused(api.post(f"/v1/batches/{batch['id']}/retry"), 409)
    told = api.get("/v1/audit").json()["data"][0]
    assert (told["action"], told["subject"]) == ("results.destroyed", batch["id"])
    enforce_retention(api.engine.services)
    with api.engine.store.read() as session:
        assert session.exec(select(TextKey)).all() == []
        count = session.execute(sa.text("SELECT COUNT(*) FROM stored_text")).scalar_one()
        assert count == 0


def test_k10_a_failed_job_of_what_is_gone_is_not_retried(api: Api) -> None:
    batch = api.finished(PROMPT, mode="chat", models=["simulated/broken"], **NONE)
    with api.engine.store.transaction() as tx:
        tx.run(sa.text("UPDATE batch SET jobs_succeeded = 0, jobs_failed = 1"))
    assert ack(api, batch["id"]).status_code == 204
    assert "acknowledged" in refused(api.post(f"/v1/batches/{batch['id']}/retry"), 410)


def test_k10_what_is_not_fetched_goes_24_hours_after_the_close(api: Api) -> None:
    batch = api.finished(PROMPT, mode="chat", **NONE)
    age(api.engine.store, "batch", "closed_at", hours=23)
    assert enforce_retention(api.engine.services) == 0
    age(api.engine.store, "batch", "closed_at", hours=25)
    assert enforce_retention(api.engine.services) == 1
    check_gone(api, batch, "retention_none", "24 hours have passed")


def test_an_open_batch_and_one_that_is_kept_are_not_acknowledged(api: Api) -> None:
    opened = api.submit(PROMPT, mode="chat", **NONE)
    assert "acknowledge" in refused(ack(api, opened["id"]), 409)
    api.engine.drain()
    kept = api.finished(PROMPT, mode="chat")
    assert "kept" in refused(ack(api, kept["id"]), 422)
    refused(ack(api, "batch_" + "0" * 26), 404)
    assert ack(api, opened["id"]).status_code == 204


def test_k10_a_file_is_sealed_with_a_key_that_its_batch_takes_over(api: Api) -> None:
    file = upload(api).json()
    assert (file["retention"], file["bytes"]) == ("none", len(LINE))
    stored = api.engine.services.settings.data_dir / "files" / file["id"]
    assert PROMPT.encode() not in stored.read_bytes()
    with api.engine.store.read() as session:
        before = session.exec(select(TextKey)).one()
    made = submit_file(api, file["id"], **NONE)
    assert made.status_code == 201, made.text
    with api.engine.store.read() as session:
        after = session.exec(select(TextKey)).one()
    assert (after.id, after.wrapped, after.file_id) == (before.id, before.wrapped, file["id"])
    assert (before.batch_id, after.batch_id) == (None, made.json()["id"])
    api.engine.drain()
    line = api.get(f"/v1/batches/{after.batch_id}/results").json()["data"][0]
    assert line["completions"][0]["text"]
    assert "upload it again" in refused(submit_file(api, file["id"], **NONE), 409)
    assert ack(api, made.json()["id"]).status_code == 204
    enforce_retention(api.engine.services)
    assert not stored.exists()


@on_sqlite
def test_what_is_kept_and_what_is_not_are_not_mixed(api: Api) -> None:
    kept, gone = upload(api, "keep").json()["id"], upload(api).json()["id"]
    assert "retention=none" in refused(submit_file(api, kept, **NONE), 422, "input_file_id")
    assert "none" in refused(submit_file(api, gone), 422, "input_file_id")
    cached = submission(PROMPT, cache=True, **NONE)
    refused(api.post("/v1/batches", json=cached), 422, "cache")
    refused(api.post("/v1/batches/estimate", json=cached), 422, "cache")
    privacy = api.call("PUT", "/v1/settings/privacy", json={"retention": "none"})
    assert privacy.status_code == 200
    refused(upload(api, "keep"), 422, "retention")
    refused(api.post("/v1/batches", json=submission(PROMPT, retention="keep")), 422, "retention")
    assert upload(api, None).json()["retention"] == "none"
    assert api.finished(PROMPT, mode="chat")["retention"] == "none"
    stranger = api.stranger_key()
    answer = api.post("/v1/batches", json=submission(jobs=None, input_file_id=gone), key=stranger)
    assert "there is no file" in refused(answer, 422, "input_file_id")


def test_a_file_that_waits_in_vain_is_deleted(api: Api) -> None:
    file = upload(api).json()
    enforce_retention(api.engine.services)
    assert api.get(f"/v1/files/{file['id']}").status_code == 200
    age(api.engine.store, "file", "created_at", hours=25)
    enforce_retention(api.engine.services)
    refused(api.get(f"/v1/files/{file['id']}"), 404)
    assert not (api.engine.services.settings.data_dir / "files" / file["id"]).exists()
    with api.engine.store.read() as session:
        assert session.exec(select(TextKey)).all() == []


def test_k10_a_batch_whose_worker_is_lost_goes_on_and_nothing_of_it_is_plain(api: Api) -> None:
    engine = api.engine
    batch = api.submit(*[f"{PROMPT} {n}" for n in range(6)], mode="chat", **NONE)
    engine.follow(*engine.queue.hints.popleft())
    assert engine.claim(wanted=3)
    engine.lose_worker()
    assert tables_with(engine.store, PROMPT) == set()
    engine.follow(Step.RECONCILE, ())
    engine.drain()
    closed = api.get(f"/v1/batches/{batch['id']}").json()
    assert closed["counts"]["jobs"]["succeeded"] == 6
    assert tables_with(engine.store, PROMPT) == set()


def key_of(api: Api, vault: Vault, batch_id: str) -> Any:
    with api.engine.store.read() as session:
        return cipher_of_batch(session, vault, batch_id)


def test_k10_a_restored_backup_of_the_database_alone_opens_nothing(api: Api, tmp_path: Any) -> None:
    batch = api.finished(PROMPT, mode="chat", **NONE)
    store, vault = api.engine.store, api.engine.services.vault
    with store.read() as session:
        backup = session.exec(select(TextKey)).one().model_dump()
    # Whoever has the database, and even the master key, but not the keyring:
    thief = Vault("A" * 43 + "=", keyring=Keyring(tmp_path / "nothing"))
    with pytest.raises(SealError):
        key_of(api, thief, batch["id"])
    assert ack(api, batch["id"]).status_code == 204
    with pytest.raises(GoneError):
        key_of(api, vault, batch["id"])
    # Restored, once the day's key is destroyed, it opens nothing here either.
    age_keyring(vault.keyring)
    turn_keyring(api.engine.services)
    assert vault.keyring.days() == []
    with store.transaction() as tx:
        tx.add(TextKey(**backup))
        restored = tx.get_one(Batch, batch["id"])
        restored.gone_reason = restored.gone_at = None
    with pytest.raises(SealError):
        key_of(api, vault, batch["id"])


def age_keyring(keyring: Keyring) -> None:
    """Let today's key be one of three days ago."""
    (today,) = keyring.days()
    keyring._path(today).rename(keyring._path(today - timedelta(days=3)))


def test_a_key_that_outlives_its_day_is_wrapped_anew_and_the_days_key_destroyed(api: Api) -> None:
    batch = api.submit(PROMPT, mode="chat", **NONE)
    store, keyring = api.engine.store, api.engine.services.vault.keyring
    turn_keyring(api.engine.services)
    today = datetime.now(UTC).date()
    age_keyring(keyring)
    with store.transaction() as tx:
        row = tx.exec(select(TextKey)).one()
        row.day = (today - timedelta(days=3)).isoformat()
    turn_keyring(api.engine.services)
    (left,) = keyring.days()
    assert left >= today
    api.engine.drain()
    line = api.get(f"/v1/batches/{batch['id']}/results").json()["data"][0]
    assert line["completions"][0]["text"]
