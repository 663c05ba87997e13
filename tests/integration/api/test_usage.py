"""Usage is every closed call exactly once: while its batch runs, when it closes, and after."""

from typing import Any

import pytest
from sqlmodel import col, func, select

from app.domain.errors import ProviderRefusedError
from app.domain.states import CALL_CLOSED
from app.models import Call, UsageRollup, UsageRow
from app.pipeline.control import cancel
from app.pipeline.finalize import finalize
from app.queue import Step
from tests.integration.api.conftest import Api, on_sqlite, refused
from tests.integration.engine.failing import run_failing

TWO = ["simulated/gold", "simulated/tin"]


def used(api: Api, **query: Any) -> dict[str, Any]:
    answer = api.get("/v1/usage", params=query)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def total(found: dict[str, Any], name: str) -> int:
    return sum(one[name] for one in found["totals"])


def check_against_the_calls(api: Api) -> None:
    """What usage says is what the calls and their usage rows say."""
    with api.engine.store.read() as session:
        closed = session.exec(
            select(func.count()).where(col(Call.state).in_(sorted(CALL_CLOSED)))
        ).one()
        tokens, cost, unpriced = session.exec(
            select(
                func.coalesce(func.sum(UsageRow.output_tokens), 0),
                func.coalesce(func.sum(UsageRow.cost_nanos), 0),
                func.count() - func.count(col(UsageRow.cost_nanos)),
            )
        ).one()
    found = used(api)
    assert total(found, "calls") == closed
    assert total(found, "output_tokens") == tokens
    assert total(found, "cost_nanos") == cost
    assert total(found, "unpriced") == unpriced
    states = ("succeeded", "refused", "failed", "cancelled", "expired")
    assert sum(total(found, state) for state in states) == closed
    assert sum(one["calls"] for one in found["data"]) == closed


def test_calls_are_counted_once_before_and_after_their_batch_closes(api: Api) -> None:
    judge = {"judges": ["simulated/judge"]}
    batch = api.submit("a", "b", "c", mode="judge", models=TWO, judge=judge)
    engine = api.engine
    while engine.queue.hints or engine.pump_once():
        check_against_the_calls(api)
        if engine.queue.hints:
            engine.follow(*engine.queue.hints.popleft())
    check_against_the_calls(api)
    assert api.get(f"/v1/batches/{batch['id']}").json()["state"] == "completed"
    assert total(used(api), "calls") == 9
    assert not finalize(engine.services, batch["id"])
    engine.follow(Step.FINALIZE, (batch["id"],))
    check_against_the_calls(api)


def test_every_mode_is_there_and_apart(api: Api) -> None:
    api.finished("a", mode="chat", models=TWO[:1])
    api.finished("a", "b", mode="compare", models=TWO)
    api.finished("a", mode="blend", models=TWO)
    check_against_the_calls(api)
    by_mode = {one["mode"]: one for one in used(api, group_by="mode")["data"]}
    assert {mode: one["calls"] for mode, one in by_mode.items()} == {
        "chat": 1, "compare": 4, "blend": 3,
    }  # fmt: skip
    one = by_mode["compare"]
    assert one["provider"] is None
    assert one["simulated_calls"] == one["succeeded"] == 4
    assert 0 < one["latency_p50_ms"] <= one["latency_p95_ms"]
    assert [row["model"] for row in used(api, group_by="model", mode="chat")["data"]] == ["gold"]


def test_failures_are_told_by_reason_and_cost_nothing(api: Api) -> None:
    api.submit("a", "b", mode="compare", models=TWO)
    run_failing(api.engine, lambda: ProviderRefusedError("no", reason="bad_request"))
    check_against_the_calls(api)
    (row,) = used(api, group_by="provider")["data"]
    assert (row["failed"], row["succeeded"], row["cost_nanos"]) == (4, 0, 0)
    assert row["errors"] == {"bad_request": 4}
    assert row["latency_p50_ms"] is None


def test_what_was_cancelled_is_counted_as_that(api: Api) -> None:
    batch = api.submit("a", "b", mode="compare", models=TWO)
    api.engine.follow(*api.engine.queue.hints.popleft())
    cancel(api.engine.services, api.engine.account_id, batch["id"])
    api.engine.drain()
    check_against_the_calls(api)
    assert total(used(api), "cancelled") == 4


def test_accounts_see_their_own(api: Api) -> None:
    api.finished("a")
    assert used(api)["totals"][0]["calls"] == 1
    stranger = api.call("GET", "/v1/usage", key=api.stranger_key()).json()
    assert stranger["data"] == stranger["totals"] == []


def test_a_close_that_was_cut_short_adds_nothing(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    batch = api.submit("a", "b")
    with monkeypatch.context() as patched:
        patched.setattr("app.pipeline.finalize.rollups_of", _cut_short)
        with pytest.raises(KeyError):
            api.engine.drain()
    with api.engine.store.read() as session:
        assert session.exec(select(UsageRollup)).all() == []
    check_against_the_calls(api)
    api.engine.follow(Step.RECONCILE, ())
    api.engine.drain()
    assert api.get(f"/v1/batches/{batch['id']}").json()["state"] == "completed"
    check_against_the_calls(api)


def _cut_short(*_: object) -> None:
    raise KeyError


@on_sqlite
@pytest.mark.parametrize(
    ("query", "param"),
    [
        ({"from": "2026-02-02", "to": "2026-01-01"}, "from"),
        ({"from": "2020-01-01", "to": "2026-01-01"}, "from"),
        ({"from": "yesterday"}, "from"),
        ({"group_by": "model,colour"}, "group_by"),
        ({"since": "2026-01-01"}, "since"),
    ],
)
def test_a_query_that_is_none_is_refused(api: Api, query: dict[str, str], param: str) -> None:
    refused(api.get("/v1/usage", params=query), 422, param)
