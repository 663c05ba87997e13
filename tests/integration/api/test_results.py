"""What came of a batch: pages, a stream, single jobs and the report."""

import json

import pytest
from sqlmodel import select

from app.models import Job
from tests.integration.api.conftest import Api, on_sqlite, refused

JUDGED = {
    "mode": "judge",
    "models": ["simulated/gold", "simulated/tin"],
    "judge": {"judges": ["simulated/judge"], "criteria": ["correct"]},
}


def test_results_are_read_by_the_page_in_job_order(api: Api) -> None:
    batch = api.finished(*"abcde")
    path = f"/v1/batches/{batch['id']}/results"
    seen, after = [], None
    while after is not None or not seen:
        query = {"limit": 2} if after is None else {"limit": 2, "after": after}
        page = api.get(path, params=query).json()
        seen += [line["custom_id"] for line in page["data"]]
        after = page["next"]
    assert seen == ["q0", "q1", "q2", "q3", "q4"]


def test_a_result_has_what_the_design_says(api: Api) -> None:
    batch = api.finished("a", **JUDGED)
    (line,) = api.get(f"/v1/batches/{batch['id']}/results").json()["data"]
    assert line["state"] == "succeeded"
    candidates = [one for one in line["completions"] if one["role"] == "candidate"]
    assert [one["label"] for one in candidates] == ["simulated/gold", "simulated/tin"]
    assert all(one["text"] and one["cost_nanos"] > 0 for one in candidates)
    assert {score["label"] for score in line["verdict"]["scores"]} == {
        "simulated/gold",
        "simulated/tin",
    }


def test_unfinished_jobs_are_listed_unless_left_out(api: Api) -> None:
    batch = api.submit("a", "b")
    path = f"/v1/batches/{batch['id']}/results"
    assert [line["state"] for line in api.get(path).json()["data"]] == ["queued", "queued"]
    assert api.get(f"{path}?only=closed").json()["data"] == []
    assert api.get(f"{path}?format=jsonl&only=closed").text == ""


def test_the_stream_has_the_same_lines_as_the_pages(api: Api) -> None:
    batch = api.finished(*"abc")
    path = f"/v1/batches/{batch['id']}/results"
    stream = api.get(f"{path}?format=jsonl")
    assert stream.headers["content-type"] == "application/jsonl"
    assert stream.headers["content-disposition"] == f'attachment; filename="{batch["id"]}.jsonl"'
    lines = [json.loads(line) for line in stream.text.split("\n") if line]
    assert lines == api.get(path).json()["data"]


@on_sqlite
@pytest.mark.parametrize(
    ("query", "param"),
    [
        ("format=csv", "format"),
        ("format=parquet", "format"),
        ("format=xml", "format"),
        ("only=open", "only"),
        ("after=-2", "after"),
        ("after=9223372036854775808", "after"),
        ("limit=1001", "limit"),
        ("format=jsonl&limit=5", "limit"),
        ("cursor=1", "cursor"),
    ],
)
def test_what_is_not_honoured_is_refused(api: Api, query: str, param: str) -> None:
    batch = api.submit("a")
    message = refused(api.get(f"/v1/batches/{batch['id']}/results?{query}"), 422, param)
    if query.removeprefix("format=") in {"csv", "parquet"}:
        assert "not supported yet" in message


def test_one_job_shows_its_calls_and_attempts(api: Api) -> None:
    batch = api.finished("Why?")
    with api.engine.store.read() as session:
        job_id = session.exec(select(Job.id).where(Job.batch_id == batch["id"])).one()
    job = api.get(f"/v1/jobs/{job_id}").json()
    assert job["batch_id"] == batch["id"]
    assert job["prompt"]["messages"][0]["content"] == "Why?"
    (call,) = job["calls"]
    assert [attempt["state"] for attempt in call["attempts"]] == ["succeeded"]


def test_the_report_ranks_the_models(api: Api) -> None:
    batch = api.finished(*"abcdefgh", **JUDGED)
    report = api.get(f"/v1/batches/{batch['id']}/report").json()
    ranked = sorted(report["leaderboard"], key=lambda entry: entry["rank"])
    assert [entry["label"] for entry in ranked] == ["simulated/gold", "simulated/tin"]


@on_sqlite
def test_the_report_as_a_page_is_refused_as_not_supported_yet(api: Api) -> None:
    batch = api.submit("a")
    answer = api.get(f"/v1/batches/{batch['id']}/report?format=html")
    assert "not supported yet" in refused(answer, 422, "format")
