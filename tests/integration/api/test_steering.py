"""Batches under way: listed, cancelled, paused, resumed, and tried again."""

import pytest
from sqlmodel import select

from app.models import Batch
from app.queue import Step
from tests.integration.api.conftest import Api, on_sqlite, refused

FAULTY = {"params": {"extra": {"simulated": {"fault": {"status": 400}}}}}


def test_a_list_is_newest_first_and_read_by_the_page(api: Api) -> None:
    made = [api.submit("a")["id"] for _ in range(5)]
    seen, after = [], None
    for _ in range(3):
        page = api.get("/v1/batches", params={"limit": 2} | ({"after": after} if after else {}))
        seen += [batch["id"] for batch in page.json()["data"]]
        after = page.json()["next"]
    assert seen == made[::-1]
    assert after is None


def test_a_cancelled_batch_starts_nothing_more(api: Api) -> None:
    batch = api.submit("a", "b")
    path = f"/v1/batches/{batch['id']}"
    assert api.post(f"{path}/cancel").json()["state"] == "cancelling"
    assert (Step.RECONCILE, ()) in api.engine.queue.hints
    api.engine.drain()
    cancelled = api.post(f"{path}/cancel")
    assert cancelled.status_code == 200
    assert cancelled.json()["state"] == "cancelled"
    assert cancelled.json()["counts"]["jobs"]["cancelled"] == 2


def test_a_batch_that_is_done_is_neither_cancelled_nor_paused(api: Api) -> None:
    batch = api.finished("a")
    for what in ("cancel", "pause", "resume"):
        refused(api.post(f"/v1/batches/{batch['id']}/{what}"), 409)


def test_a_paused_batch_waits_and_goes_on(api: Api) -> None:
    batch = api.submit("a")
    path = f"/v1/batches/{batch['id']}"
    paused = api.post(f"{path}/pause").json()
    assert paused["paused"]
    assert paused["waiting_on"]["reason"] == "paused"
    api.engine.drain()
    assert api.get(path).json()["counts"]["jobs"]["succeeded"] == 0
    assert not api.post(f"{path}/resume").json()["paused"]
    api.engine.drain()
    assert api.get(path).json()["state"] == "completed"


def test_what_failed_is_tried_again_as_a_new_batch(api: Api) -> None:
    batch = api.finished("a", "b", **FAULTY)
    assert batch["counts"]["jobs"]["failed"] == 2
    again = api.post(f"/v1/batches/{batch['id']}/retry")
    assert again.status_code == 201
    assert again.json()["retry_of"] == batch["id"]
    assert again.json()["counts"]["jobs"]["total"] == 2
    joined = api.get(f"/v1/batches/{again.json()['id']}/results?joined=true").json()
    assert [line["custom_id"] for line in joined["data"]] == ["q0", "q1"]


def test_a_retry_with_a_key_is_made_once(api: Api) -> None:
    batch = api.finished("a", **FAULTY)
    other = api.finished("a", **FAULTY)
    headers = {"Idempotency-Key": "again"}
    first, second = (
        api.post(f"/v1/batches/{batch['id']}/retry", headers=headers) for _ in range(2)
    )
    assert (first.status_code, second.status_code) == (201, 200)
    assert first.json()["id"] == second.json()["id"]
    refused(api.post(f"/v1/batches/{other['id']}/retry", headers=headers), 409, "Idempotency-Key")
    with api.engine.store.read() as session:
        assert len(session.exec(select(Batch.id)).all()) == 3


@pytest.mark.parametrize("prompts", [("a",), ("a", "b")])
def test_what_is_open_or_went_well_is_not_tried_again(api: Api, prompts: tuple[str, ...]) -> None:
    batch = api.submit(*prompts)
    refused(api.post(f"/v1/batches/{batch['id']}/retry"), 409)
    api.engine.drain()
    refused(api.post(f"/v1/batches/{batch['id']}/retry"), 409)


@on_sqlite
@pytest.mark.parametrize("method", ["DELETE", "PUT", "PATCH"])
def test_a_method_that_is_not_there_is_said(api: Api, method: str) -> None:
    batch = api.submit("a")
    refused(api.call(method, f"/v1/batches/{batch['id']}"), 405)
    answer = api.call(method, "/v1/batches")
    assert "allowed: GET, POST" in refused(answer, 405)
    assert answer.headers["allow"] == "GET, POST"
