"""An estimate counts what a run would ask, says what stands against it, and stores nothing."""

from typing import Any

import pytest
from sqlmodel import col, func, select

from app.models import Account, Batch, Call, Job, UsageRow
from tests.factories.rows import make_lane
from tests.integration.api.conftest import Api, on_sqlite, refused, submission

PROMPTS = [f"What is {n} times {n + 1}, and why does it matter to anybody?" for n in range(6)]
TWO = ["simulated/gold", "simulated/tin"]
JUDGE = {"judges": ["simulated/judge"]}
RUNS: list[dict[str, Any]] = [
    {"mode": "chat", "models": TWO[:1]},
    {"mode": "compare", "models": TWO, "repeats": 2},
    {"mode": "judge", "models": TWO, "judge": JUDGE},
    {"mode": "mesh", "models": TWO[:1], "mesh": {"fallback": TWO[1:]}},
    {"mode": "blend", "models": TWO, "blend": {"strategy": "consensus"}},
    {"mode": "blend", "models": TWO, "blend": {"strategy": "council"}},
    {"mode": "blend", "models": TWO, "blend": {"strategy": "best_of"}},
    {"mode": "blend", "models": TWO, "blend": {"strategy": "chain"}},
    {"mode": "blend", "models": TWO, "blend": {"strategy": "moa", "layers": 2}},
    {"mode": "blend", "models": TWO[:1], "blend": {"strategy": "self_moa", "samples": 3}},
]


def estimated(api: Api, *prompts: str, **fields: Any) -> dict[str, Any]:
    answer = api.post("/v1/batches/estimate", json=submission(*prompts, **fields))
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def asked(api: Api, batch_id: str) -> dict[tuple[str, str], int]:
    """How many calls a batch made of each model in each role."""
    with api.engine.store.read() as session:
        rows = session.exec(
            select(Call.model, Call.role, func.count())
            .where(Call.batch_id == batch_id)
            .group_by(col(Call.model), col(Call.role))
        )
        return {(model, role): count for model, role, count in rows}


def rows_in(api: Api) -> list[int]:
    with api.engine.store.read() as session:
        return [
            session.exec(select(func.count()).select_from(table)).one()
            for table in (Batch, Job, Call, UsageRow)
        ]


@pytest.mark.parametrize(
    "fields", RUNS, ids=lambda run: f"{run['mode']}-{run.get('blend', {}).get('strategy', '')}"
)
def test_a_run_asks_what_was_estimated_and_costs_within_the_range(
    api: Api, fields: dict[str, Any]
) -> None:
    before = estimated(api, *PROMPTS, **fields)
    batch = api.finished(*PROMPTS, **fields)
    assert before["jobs"] == batch["counts"]["jobs"]["succeeded"] == len(PROMPTS)
    foreseen = {
        (one["model"].removeprefix("simulated/"), one["role"]): one["calls"]
        for one in before["models"]
    }
    made = asked(api, batch["id"])
    assert foreseen | {key: made[key] for key in made if key[1] == "judge"} == made
    assert before["calls"] <= before["calls_max"]
    assert sum(made.values()) <= before["calls_max"]
    after = estimated(api, *PROMPTS, **fields)
    spent = batch["cost"]["spent_nanos"]
    for found in (before, after):
        cost = found["cost_nanos"]
        assert cost["low"] <= cost["expected"] <= cost["high"] <= found["worst_nanos"]
        assert cost["low"] <= spent <= cost["high"]
        assert found["problems"] == []


def test_what_was_seen_before_narrows_the_range(api: Api) -> None:
    fields = {"mode": "compare", "models": TWO}
    guess = estimated(api, *PROMPTS, **fields)
    api.finished(*PROMPTS, **fields)
    known = estimated(api, *PROMPTS, **fields)
    assert [one["answers_seen"] for one in guess["models"]] == [0, 0]
    assert [one["answers_seen"] for one in known["models"]] == [6, 6]

    def width(found: dict[str, Any]) -> int:
        tokens = found["output_tokens"]
        return int(tokens["high"] - tokens["low"])

    assert width(known) < width(guess) / 10


def test_nothing_is_stored(api: Api) -> None:
    before = rows_in(api)
    estimated(api, *PROMPTS, mode="judge", models=TWO, judge=JUDGE)
    assert rows_in(api) == before
    assert list(api.engine.queue.hints) == []


@on_sqlite
def test_problems_are_told_all_at_once_and_refuse_nothing(api: Api) -> None:
    found = estimated(
        api,
        *PROMPTS * 50,
        models=["openai/gpt-5.2", "simulated/gold"],
        budget_usd=0.000001,
        deadline="1m",
        params={"max_tokens": 4000},
    )
    said = {problem["param"]: problem["message"] for problem in found["problems"]}
    assert "there is no key for 'openai'" in said["models"]
    assert "less than this is expected to cost" in said["budget_usd"]


def test_a_lanes_limits_say_how_long_it_takes(api: Api) -> None:
    with api.engine.store.transaction() as tx:
        account = tx.get_one(Account, api.engine.account_id)
        make_lane(tx, account, "custom:slow", rpm=6)
    found = estimated(api, *PROMPTS, models=["custom:slow/one"], deadline="30m")
    assert (found["slowest"], found["hours"]) == ("custom:slow", 0.017)  # a minute
    assert found["problems"] == []
    assert found["cost_is_complete"] is False  # nobody knows its price
    assert found["models"][0]["cost_nanos"] is None
    late = estimated(api, *PROMPTS * 40, models=["custom:slow/one"], deadline="30m")
    assert late["problems"][0]["param"] == "deadline"


@on_sqlite
def test_what_may_not_be_meant_is_noted(api: Api) -> None:
    models = ["simulated/gold", {"model": "simulated/gold", "label": "again"}, "simulated/judge"]
    judge = JUDGE | {"allow_self": True}
    found = estimated(api, "a", "a", "b", mode="judge", models=models, judge=judge)
    assert found["notes"] == [
        "1 jobs ask what another job asks already",
        "again is asked the same as simulated/gold",
        "simulated/judge judges and is judged; its own answers are marked",
    ]


@on_sqlite
def test_what_is_wrong_is_refused_as_at_submit(api: Api) -> None:
    for body, param in (
        (submission(models=["nothing"]), "models[0]"),
        (submission() | {"jobs": [{"prompt": 7}]}, "jobs[0].prompt"),
        (submission(params={"temperature": 9}), "params.temperature"),
    ):
        refused(api.post("/v1/batches/estimate", json=body), 422, param)


@on_sqlite
def test_a_sample_says_what_runs_before_the_batch_waits(api: Api) -> None:
    fields = {"mode": "compare", "models": TWO}
    found = estimated(api, *PROMPTS, sample=2, **fields)
    assert (found["sample"]["jobs"], found["sample"]["calls"]) == (2, 4)
    share = found["sample"]["cost_nanos"]["expected"] * 3 - found["cost_nanos"]["expected"]
    assert 0 <= share <= 3
    assert found["calls"] == 12
    for sample in (6, 60):
        assert estimated(api, *PROMPTS, sample=sample, **fields)["sample"] is None


@pytest.mark.parametrize("fields", [RUNS[1], RUNS[2], RUNS[4]], ids=["compare", "judge", "blend"])
def test_what_is_answered_already_costs_nothing_under_cache(
    api: Api, fields: dict[str, Any]
) -> None:
    api.finished(*PROMPTS[:4], cache=True, **fields)
    found = estimated(api, *PROMPTS, cache=True, **fields)
    fresh = estimated(api, *PROMPTS, **fields)
    rows = [one for one in found["models"] if one["role"] == "candidate"]
    assert all(one["cached"] * 6 == one["calls"] * 4 for one in rows)
    assert sum(one["cached"] for one in fresh["models"]) == 0
    assert found["calls"] == fresh["calls"]
    assert found["cost_nanos"]["expected"] < fresh["cost_nanos"]["expected"]
    batch = api.finished(*PROMPTS, cache=True, **fields)
    cost = found["cost_nanos"]
    assert cost["low"] <= batch["cost"]["spent_nanos"] <= cost["high"]


@on_sqlite
def test_all_of_it_may_be_answered_already(api: Api) -> None:
    api.finished("a", cache=True, models=TWO)
    found = estimated(api, "a", cache=True, models=TWO)
    assert found["cost_nanos"] == {"low": 0, "expected": 0, "high": 0}
    assert [one["cached"] for one in found["models"]] == [1, 1]
