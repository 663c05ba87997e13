"""`sample`, `stop_if_failed_percent` and `cache` from outside: asked for, shown, and refused."""

from typing import Any

import pytest

from tests.integration.api.conftest import Api, on_sqlite, refused, submission

FAULTY = {"params": {"extra": {"simulated": {"latency_ms": 0, "fault": {"status": 400}}}}}


def test_what_was_asked_for_is_shown(api: Api) -> None:
    batch = api.submit("a", "b", "c", sample=2, stop_if_failed_percent=30, cache=True)
    assert (batch["sample"], batch["stop_if_failed_percent"], batch["cache"]) == (2, 30, True)
    plain = api.submit("a")
    assert (plain["sample"], plain["stop_if_failed_percent"], plain["cache"]) == (None, None, False)
    assert api.get(f"/v1/batches/{batch['id']}").json()["sample"] == 2


@on_sqlite
@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("sample", 0),
        ("sample", -1),
        ("sample", 2**31),
        ("sample", 1.5),
        ("sample", "2"),
        ("stop_if_failed_percent", 0),
        ("stop_if_failed_percent", 100),
        ("stop_if_failed_percent", True),
        ("cache", None),
        ("cache", 1),
        ("cache", "true"),
    ],
)
def test_a_value_that_is_none_of_it_is_refused_by_name(api: Api, field: str, value: Any) -> None:
    answer = api.post("/v1/batches", json=submission("a", **{field: value}))
    assert refused(answer, 422, field).startswith(f"{field}: ")


def test_a_sample_is_looked_at_and_the_rest_is_run(api: Api) -> None:
    batch = api.finished("a", "b", "c", sample=1)
    path = f"/v1/batches/{batch['id']}"
    assert (batch["paused"], batch["waiting_on"]["reason"]) == (True, "sample")
    closed = api.get(f"{path}/results?only=closed").json()["data"]
    assert [line["custom_id"] for line in closed] == ["q0"]
    assert api.get(f"{path}/report").json()["leaderboard"][0]["answered"] == 1
    resumed = api.post(f"{path}/resume").json()
    assert (resumed["paused"], resumed["sample"], resumed["waiting_on"]) == (False, None, None)
    api.engine.drain()
    done = api.get(path).json()
    assert (done["state"], done["counts"]["jobs"]["succeeded"]) == ("completed", 3)


def test_a_batch_that_fails_too_often_says_why_it_ended(api: Api) -> None:
    batch = api.finished("a", "b", "c", stop_if_failed_percent=2, **FAULTY)
    assert (batch["state"], batch["ending"]) == ("failed", "too_many_failed")


def test_a_line_says_that_its_answer_was_used_again(api: Api) -> None:
    lines = []
    for _ in range(2):
        batch = api.finished("a", cache=True)
        lines += api.get(f"/v1/batches/{batch['id']}/results").json()["data"]
    [first], [second] = (line["completions"] for line in lines)
    assert (first["cached"], first["billed"], first["attempts"]) == (False, "byok", 1)
    assert (second["cached"], second["billed"], second["attempts"]) == (True, "cached", 0)
    assert first["text"] == second["text"]
    assert (second["cost_nanos"], lines[1]["cost_nanos"]) == (0, 0)
    calls = api.get(f"/v1/batches/{batch['id']}").json()["counts"]["calls"]
    assert calls == {"total": 1, "closed": 1, "cached": 1}
    job = api.get(f"/v1/jobs/{lines[1]['job_id']}").json()
    assert (job["calls"][0]["state"], job["calls"][0]["attempts"]) == ("succeeded", [])
