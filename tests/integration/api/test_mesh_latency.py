"""A mesh by latency tries first what was quickest lately, for this account."""

from typing import Any

import msgspec
from sqlmodel import select

from app.domain.plan import Plan
from app.models import BatchSpec, UsageRow
from tests.integration.api.conftest import Api

NAMES = ["simulated/gold", "simulated/silver", "simulated/bronze"]
FIELDS: dict[str, Any] = {
    "mode": "mesh",
    "models": NAMES[:1],
    "mesh": {"fallback": NAMES[1:], "strategy": "latency"},
}


def order_of(api: Api, batch_id: str) -> list[str]:
    with api.engine.store.read() as session:
        plan = msgspec.json.decode(session.get_one(BatchSpec, batch_id).plan, type=Plan)
    assert plan.mesh is not None
    return list(plan.mesh.order)


def took(api: Api, model: str, latency_ms: int) -> None:
    """Have answered six prompts, each in so many milliseconds."""
    batch = api.finished(*"abcdef", models=[model], mode="chat")
    with api.engine.store.transaction() as tx:
        for row in tx.exec(select(UsageRow).where(UsageRow.batch_id == batch["id"])):
            row.latency_ms = latency_ms


def test_nothing_known_keeps_the_order_that_was_written(api: Api) -> None:
    assert order_of(api, api.submit("a", **FIELDS)["id"]) == NAMES


def test_the_quickest_is_first_and_what_is_not_known_last(api: Api) -> None:
    took(api, NAMES[2], 50)
    assert order_of(api, api.submit("a", **FIELDS)["id"]) == [NAMES[2], NAMES[0], NAMES[1]]
    took(api, NAMES[1], 20)
    took(api, NAMES[0], 900)
    batch = api.finished("a", **FIELDS)
    assert order_of(api, batch["id"]) == [NAMES[1], NAMES[2], NAMES[0]]
    (line,) = api.get(f"/v1/batches/{batch['id']}/results").json()["data"]
    assert [(step["label"], step["outcome"]) for step in line["route"]] == [(NAMES[1], "succeeded")]


def test_others_answers_say_nothing(api: Api) -> None:
    took(api, NAMES[2], 50)
    answer = api.call("POST", "/v1/batches", key=api.stranger_key(), json=FIELDS | {"jobs": [{"prompt": "a"}]})  # fmt: skip
    assert order_of(api, answer.json()["id"]) == NAMES
