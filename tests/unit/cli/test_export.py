"""A batch in a folder: whole, or not at all."""

import hashlib
import json
from pathlib import Path

import httpx
import pytest

from api.cli.failure import ExitCode
from tests.fakes.api import FakeApi, batch_view
from tests.unit.cli.conftest import Overnight

RESULTS = b'{"custom_id":"q1"}\n'


@pytest.fixture
def batch(api: FakeApi) -> FakeApi:
    api.answer("GET /v1/batches/batch_1", batch_view())
    api.answer("GET /v1/batches/batch_1/report", {"leaderboard": []})
    api.answer("GET /v1/batches/batch_1/results", httpx.Response(200, content=RESULTS))
    return api


def test_everything_of_a_batch_is_there_with_its_digest(
    overnight: Overnight, batch: FakeApi, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place = tmp_path / "nightly"
    assert overnight("export", "batch_1", "-o", str(place), "--joined") == ExitCode.DONE
    assert capsys.readouterr().out == f"{place}\n"
    manifest = json.loads((place / "manifest.json").read_text())
    assert (manifest["batch_id"], manifest["state"]) == ("batch_1", "completed")
    names = {one["name"] for one in manifest["files"]}
    assert names == {
        "batch.json",
        "report.json",
        *(f"results.{one}" for one in ("jsonl", "csv", "parquet")),
    }
    assert {one.name for one in place.iterdir()} == names | {"manifest.json"}
    for one in manifest["files"]:
        content = (place / one["name"]).read_bytes()
        assert (len(content), hashlib.sha256(content).hexdigest()) == (one["bytes"], one["sha256"])
    asked = [dict(one.url.params) for one in batch.journal if one.url.path.endswith("/results")]
    assert asked == [{"format": form, "joined": "true"} for form in ("jsonl", "csv", "parquet")]


def test_a_folder_that_is_there_is_left_alone(
    overnight: Overnight, batch: FakeApi, tmp_path: Path
) -> None:
    (tmp_path / "nightly").mkdir()
    assert overnight("export", "batch_1", "-o", str(tmp_path / "nightly")) == ExitCode.USAGE
    assert batch.journal == []


def test_what_breaks_on_the_way_leaves_nothing_behind(
    overnight: Overnight, batch: FakeApi, tmp_path: Path
) -> None:
    batch.answer("GET /v1/batches/batch_1/results", httpx.ReadError("gone"))
    code = overnight("export", "batch_1", "-o", str(tmp_path / "nightly"))
    assert code == ExitCode.UNREACHABLE
    assert list(tmp_path.glob("nightly*")) == []


def test_of_a_batch_that_goes_on_it_is_said(
    overnight: Overnight, batch: FakeApi, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    batch.answer("GET /v1/batches/batch_1", batch_view(state="running"))
    assert overnight("export", "batch_1", "-o", str(tmp_path / "now")) == ExitCode.DONE
    assert "the batch is running" in capsys.readouterr().err
