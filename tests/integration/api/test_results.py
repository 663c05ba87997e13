"""What came of a batch: pages, a stream, single jobs and the report."""

import csv
import io
import json
import sys
from typing import Any

import pytest
from pyarrow import parquet
from sqlmodel import select

from app.models import Job, StoredText
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
    refused(api.get(f"/v1/batches/{batch['id']}/results?{query}"), 422, param)


def cells_of(line: dict[str, Any]) -> list[tuple[Any, ...]]:
    """What a table has of a result line."""
    scores = {one["label"]: one["score"] for one in (line["verdict"] or {}).get("scores", ())}
    return [
        (line["custom_id"], one["label"], one["text"], scores.get(one["label"]), one["cost_nanos"])
        for one in line["completions"]
    ]


COLUMNS = ("custom_id", "label", "text", "score", "cost_nanos")


def test_tables_have_the_cells_of_the_lines(api: Api) -> None:
    batch = api.finished(*"abc", **JUDGED)
    path = f"/v1/batches/{batch['id']}/results"
    wanted = [cells for line in api.get(path).json()["data"] for cells in cells_of(line)]
    assert len(wanted) == 9
    made = api.get(f"{path}?format=parquet")
    assert made.headers["content-type"] == "application/vnd.apache.parquet"
    rows = parquet.read_table(io.BytesIO(made.content)).to_pylist()
    assert [tuple(row[name] for name in COLUMNS) for row in rows] == wanted
    text = api.get(f"{path}?format=csv")
    assert text.headers["content-type"] == "text/csv; charset=utf-8"
    cells = list(csv.DictReader(io.StringIO(text.text)))
    assert [tuple(row[name] for name in COLUMNS) for row in cells] == [
        tuple("" if cell is None else str(cell) for cell in row) for row in wanted
    ]


def test_a_table_has_a_row_for_a_job_without_completions(api: Api) -> None:
    batch = api.submit("a", "b")
    path = f"/v1/batches/{batch['id']}/results"
    rows = list(csv.DictReader(io.StringIO(api.get(f"{path}?format=csv").text)))
    assert [(row["custom_id"], row["job_state"], row["label"]) for row in rows] == [
        ("q0", "queued", ""), ("q1", "queued", ""),
    ]  # fmt: skip
    empty = api.get(f"{path}?format=csv&only=closed").text
    assert empty.startswith('"custom_id","job_id"')
    assert len(empty.splitlines()) == 1
    nothing = api.get(f"{path}?format=parquet&only=closed")
    assert parquet.read_table(io.BytesIO(nothing.content)).num_rows == 0


@on_sqlite
@pytest.mark.parametrize("text", ['=HYPERLINK("http://x")', "+1", "-1", "@SUM(A1)", "\tx", "\rx"])
def test_e1_a_formula_is_text_in_csv_and_as_it_was_elsewhere(api: Api, text: str) -> None:
    batch = api.finished("a")
    with api.engine.store.transaction() as tx:
        answer = tx.exec(select(StoredText).where(StoredText.kind == "answer")).one()
        answer.body = text
    path = f"/v1/batches/{batch['id']}/results"
    (row,) = csv.DictReader(io.StringIO(api.get(f"{path}?format=csv").text, newline=""))
    assert row["text"] == f"'{text}"
    assert json.loads(api.get(f"{path}?format=jsonl").text)["completions"][0]["text"] == text
    made = io.BytesIO(api.get(f"{path}?format=parquet").content)
    assert parquet.read_table(made)["text"].to_pylist() == [text]


@on_sqlite
def test_parquet_that_is_not_installed_says_what_to_install(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch = api.submit("a")
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    answer = api.get(f"/v1/batches/{batch['id']}/results?format=parquet")
    assert "overnight[parquet]" in refused(answer, 422, "format")


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
def test_the_report_is_written_for_a_pull_request_and_for_a_spreadsheet(api: Api) -> None:
    path = f"/v1/batches/{api.finished(*'abcdefgh', **JUDGED)['id']}/report"
    page, table = api.get(f"{path}?format=md"), api.get(f"{path}?format=csv")
    assert page.headers["content-type"] == "text/markdown; charset=utf-8"
    assert "`simulated/gold` has the best mean score" in page.text
    assert table.headers["content-type"] == "text/csv; charset=utf-8"
    labels = [row["label"] for row in csv.DictReader(io.StringIO(table.text))]
    assert labels == ["simulated/gold", "simulated/tin"]


def test_the_report_is_a_page_with_the_answers_and_how_to_repeat_it(api: Api) -> None:
    batch = api.finished(*"abcdefgh", **JUDGED)
    answer = api.get(f"/v1/batches/{batch['id']}/report?format=html")
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert answer.headers["content-security-policy"].startswith("default-src 'none'")
    page = answer.text
    assert "simulated/gold has the best mean score" in page
    assert page.count("points apart</h3>") == 5
    assert "user: " in page
    assert "SHA-256 of the prompts" in page
    assert page.count("data:image/svg+xml;base64,") == 6
