"""Everything of a batch at once: of one moment, known again, and safely named."""

import csv
import io
import json
import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import unquote

import pytest
from pyarrow import parquet

from app.domain.errors import GoneError
from app.domain.states import JobState
from app.pipeline.purge import begin_purge
from app.pipeline.purge import purge as use_purge
from app.queue import Step
from app.reports.as_of import LETTERS
from app.reports.results import Selection, stream_results
from tests.integration.api.conftest import Api, on_sqlite, refused

JOBS, SAMPLE = 120, 70  # more than a stream reads first


def sampled(api: Api, **fields: Any) -> dict[str, Any]:
    """A batch whose first jobs are closed, and whose others wait."""
    prompts = [f"Why {n}?" for n in range(JOBS)]
    return api.finished(*prompts, sample=SAMPLE, **fields)


def lines_of(pieces: Iterator[bytes]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in b"".join(pieces).splitlines()]


def test_e4_an_export_of_a_running_batch_is_of_the_moment_it_began(api: Api) -> None:
    batch = sampled(api)
    path = f"/v1/batches/{batch['id']}"
    before = api.get(f"{path}/results?limit=1000").json()["data"]
    whose = (api.engine.store, api.engine.account_id, batch["id"])
    streams = {only: stream_results(*whose, Selection(only_closed=only)) for only in (False, True)}
    begun = {only: [next(pieces) for _ in range(2)] for only, pieces in streams.items()}
    # The batch comes to its end, and only then is the rest of the streams read.
    api.post(f"{path}/resume")
    api.engine.drain()
    assert api.get(path).json()["state"] == "completed"
    whole, closed = (lines_of(iter([*begun[only], *streams[only]])) for only in (False, True))
    assert closed == before[:SAMPLE]
    assert whole[:SAMPLE] == before[:SAMPLE]
    assert [line["custom_id"] for line in whole] == [f"q{n}" for n in range(JOBS)]
    assert {line["state"] for line in whole[SAMPLE:]} == {"queued"}
    assert {(len(line["completions"]), line["cost_nanos"]) for line in whole[SAMPLE:]} == {
        (0, None)
    }


def test_e4_a_job_under_way_is_listed_without_what_it_has_so_far(api: Api) -> None:
    batch = api.submit("a", "b", models=["simulated/gold", "simulated/tin"])
    api.engine.follow(Step.PLAN, (batch["id"],))
    lines = lines_of(stream_results(api.engine.store, api.engine.account_id, batch["id"]))
    assert [(line["state"], line["completions"]) for line in lines] == [("running", [])] * 2


def test_e4_the_tag_of_an_export_is_strong_once_nothing_changes_any_more(api: Api) -> None:
    batch = sampled(api)
    path = f"/v1/batches/{batch['id']}"
    running = api.get(f"{path}/results?format=jsonl").headers["etag"]
    assert running.startswith('W/"')
    answer = api.get(f"{path}/results?format=jsonl", headers={"If-None-Match": running})
    assert (answer.status_code, answer.content, answer.headers["etag"]) == (304, b"", running)
    api.post(f"{path}/resume")
    api.engine.drain()
    known = {"If-None-Match": f'"other", {running}'}
    closed = api.get(f"{path}/results?format=jsonl", headers=known)
    tag = closed.headers["etag"]
    assert closed.status_code == 200
    assert tag.startswith('"')
    again = api.get(f"{path}/results?format=jsonl")
    assert (again.headers["etag"], again.content) == (tag, closed.content)
    for given in (tag, f"W/{tag}", f'"a", {tag}'):
        answer = api.get(f"{path}/results?format=jsonl", headers={"If-None-Match": given})
        assert answer.status_code == 304
    others = {
        api.get(f"{path}/results?{query}").headers["etag"]
        for query in ("format=csv", "format=parquet", "format=jsonl&only=closed")
    }
    assert len(others | {tag}) == 4
    joined = api.get(f"{path}/results?format=jsonl&joined=true").headers["etag"]
    assert joined.startswith('W/"')


@pytest.mark.parametrize(("form", "read"), [("jsonl", 2), ("csv", 2), ("parquet", 1)])
def test_e4_an_export_does_not_look_whole_when_results_are_deleted_meanwhile(
    api: Api, form: Any, read: int
) -> None:
    batch = api.finished(*[f"Why {n}?" for n in range(JOBS)])
    engine = api.engine
    pieces = stream_results(engine.store, engine.account_id, batch["id"], form=form)
    begun = [next(pieces) for _ in range(read)]
    purge = begin_purge(engine.services, engine.account_id, actor="test")
    assert use_purge(engine.services, purge.id)
    with pytest.raises(GoneError, match="while they were read"):
        begun += pieces
    assert b"q119" not in b"".join(begun)


@on_sqlite
def test_e4_every_form_of_an_export_is_of_the_same_jobs(api: Api) -> None:
    batch = sampled(api)
    path = f"/v1/batches/{batch['id']}/results"
    names = [f"q{n}" for n in range(JOBS)]
    rows = list(csv.DictReader(io.StringIO(api.get(f"{path}?format=csv").text)))
    assert [row["custom_id"] for row in rows] == names
    table = parquet.read_table(io.BytesIO(api.get(f"{path}?format=parquet").content))
    assert table.column("custom_id").to_pylist() == names
    assert table.column("job_state").to_pylist() == ["succeeded"] * SAMPLE + ["queued"] * 50


def test_no_two_states_of_a_job_begin_alike() -> None:
    assert len(LETTERS) == len(JobState)


@on_sqlite
@pytest.mark.parametrize(
    ("name", "plain", "full"),
    [
        (None, "", None),
        ("nightly run 7", "nightly-run-7-", None),
        ('x"\r\nSet-Cookie: a=b\r\n', "x-Set-Cookie-a-b-", None),
        ("../../etc/passwd", "etc-passwd-", None),
        ("..\\..\\boot.ini", "boot.ini-", None),
        (".bashrc", "bashrc-", None),
        ("CON", "CON-", None),
        ("a;filename=b.exe", "a-filename-b.exe-", None),
        ("größe", "gr-e-", "größe-"),
        ("\u202egpj.exe", "gpj.exe-", None),
        ("日本", "", "日本-"),
        ("🎉", "", None),
        ("a" * 200, "a" * 80 + "-", None),
    ],
)
def test_e5_a_download_is_named_by_the_user_without_harm(
    api: Api, name: str | None, plain: str, full: str | None
) -> None:
    answer = api.post("/v1/batches", json=_named(name))
    if answer.status_code == 422:  # a name that is not taken at all harms nobody
        refused(answer, 422, "name")
        return
    batch_id = answer.json()["id"]
    stream = api.get(f"/v1/batches/{batch_id}/results?format=csv")
    assert stream.headers.get("set-cookie") is None
    said = stream.headers["content-disposition"]
    found = re.fullmatch(r"attachment; filename=\"([\w.-]+)\"(?:; filename\*=UTF-8''(\S+))?", said)
    assert found is not None, said
    assert found[1] == f"{plain}{batch_id}.csv"
    assert (found[2] and unquote(found[2])) == (full and f"{full}{batch_id}.csv")


@on_sqlite
def test_e5_the_name_of_an_upload_names_no_download(api: Api) -> None:
    name = '../../x";\\evil.jsonl'
    file = api.post(
        "/openai/v1/files", files={"file": (name, b'{"a":1}')}, data={"purpose": "batch"}
    ).json()
    said = api.get(f"/openai/v1/files/{file['id']}/content").headers["content-disposition"]
    assert said == f'attachment; filename="{file["id"]}.jsonl"'


def _named(name: str | None) -> dict[str, Any]:
    return {
        "name": name,
        "mode": "chat",
        "models": ["simulated/gold"],
        "jobs": [{"custom_id": "q", "prompt": "Why?"}],
    }
