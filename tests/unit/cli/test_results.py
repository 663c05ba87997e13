"""Results go out as they came, or as a table of the best answers."""

import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from api.cli.failure import ExitCode
from api.cli.results import text_of
from tests.fakes.api import FakeApi
from tests.unit.cli.conftest import Overnight

ROUTE = "GET /v1/batches/batch_1/results"


def answer_of(label: str, text: str | None, role: str = "candidate") -> dict[str, Any]:
    return {"label": label, "text": text, "role": role}


def job(**changes: Any) -> dict[str, Any]:
    line = {
        "custom_id": "q1",
        "state": "succeeded",
        "completions": [answer_of("a", "Answer of a."), answer_of("b", "Answer of b.")],
        "verdict": {"winner": "b"},
        "cost_nanos": 1_000_000,
        "error": None,
    }
    return line | changes


def lines(*jobs: dict[str, Any]) -> bytes:
    return b"".join(json.dumps(one).encode() + b"\n" for one in jobs)


def test_the_best_answer_is_shown() -> None:
    assert text_of(job()) == "Answer of b."
    assert text_of(job(verdict=None)) == "Answer of a."


def test_a_judge_s_answer_is_none() -> None:
    assert text_of(job(completions=[answer_of("j", "{}", role="judge")])) is None


def test_a_failed_job_says_why() -> None:
    error = {"reason": "budget_exhausted", "message": None}
    assert text_of(job(error=error)) == "(budget_exhausted)"


def test_a_table_for_a_person(
    overnight: Overnight, api: FakeApi, capsys: pytest.CaptureFixture[str]
) -> None:
    api.answer(ROUTE, httpx.Response(200, content=lines(job())))
    assert overnight("results", "batch_1") == ExitCode.DONE
    shown = capsys.readouterr().out
    assert "Answer of b." in shown
    assert "$0.001" in shown


def test_lines_are_passed_on_byte_for_byte(
    overnight: Overnight, api: FakeApi, capfdbinary: pytest.CaptureFixture[bytes], tmp_path: Path
) -> None:
    content = lines(job(), job(custom_id="q2"))
    api.answer(ROUTE, httpx.Response(200, content=content))
    assert overnight("results", "batch_1", "--jsonl") == ExitCode.DONE
    assert capfdbinary.readouterr().out == content
    api.answer(ROUTE, httpx.Response(200, content=content))
    assert overnight("results", "batch_1", "-o", str(tmp_path / "out")) == ExitCode.DONE
    assert (tmp_path / "out").read_bytes() == content
    assert dict(api.journal[-1].url.params) == {"format": "jsonl"}


def test_what_is_wanted_of_them_can_be_said(overnight: Overnight, api: FakeApi) -> None:
    api.answer(ROUTE, httpx.Response(200, content=lines(job())))
    assert overnight("results", "batch_1", "--only-closed", "--joined") == ExitCode.DONE
    assert dict(api.journal[-1].url.params) == {
        "format": "jsonl",
        "only": "closed",
        "joined": "true",
    }


def test_an_array_for_a_program(
    overnight: Overnight, api: FakeApi, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    for jobs in ([], [job()], [job(), job(custom_id="q2")]):
        api.answer(ROUTE, httpx.Response(200, content=lines(*jobs)))
        assert overnight("results", "batch_1", "--json") == ExitCode.DONE
        assert json.loads(capfdbinary.readouterr().out) == jobs


def test_a_place_that_cannot_be_written_is_named(
    overnight: Overnight, api: FakeApi, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    api.answer(ROUTE, httpx.Response(200, content=lines(job())))
    assert overnight("results", "batch_1", "-o", str(tmp_path)) == ExitCode.FAILED
    assert str(tmp_path) in capsys.readouterr().err


@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_a_table_is_saved_whole_or_not_at_all(
    overnight: Overnight, api: FakeApi, tmp_path: Path, form: str
) -> None:
    place = tmp_path / f"out.{form}"
    api.answer(ROUTE, httpx.Response(200, content=b"a\r\nb"))
    assert overnight("results", "batch_1", "--format", form, "-o", str(place)) == ExitCode.DONE
    assert place.read_bytes() == b"a\r\nb"
    assert api.journal[-1].url.params["format"] == form
    api.answer(ROUTE, {"error": {"type": "not_found", "message": "no"}}, status=404)
    assert overnight("results", "batch_1", "--format", form, "-o", str(place)) == ExitCode.FAILED
    assert place.read_bytes() == b"a\r\nb"
    assert sorted(path.name for path in tmp_path.iterdir()) == [place.name]


def test_a_format_that_is_none_is_a_usage_error(overnight: Overnight, api: FakeApi) -> None:
    assert overnight("results", "batch_1", "--format", "xlsx") == ExitCode.USAGE
    assert api.journal == []


def test_variants_stand_side_by_side(
    overnight: Overnight, api: FakeApi, capsys: pytest.CaptureFixture[str]
) -> None:
    scores = [{"label": "a", "score": 7.0}, {"label": "b", "score": 9.0}]
    failed = answer_of("b", None) | {"state": "failed", "error": {"reason": "timed_out"}}
    second = job(custom_id="q2", verdict=None, completions=[answer_of("a", "Yes."), failed])
    first = job(verdict={"winner": "b", "scores": scores})
    api.answer(ROUTE, httpx.Response(200, content=lines(first, second)))
    assert overnight("results", "batch_1", "--table") == ExitCode.DONE
    head, _, *rows = capsys.readouterr().out.splitlines()
    assert head.split() == ["job", "a", "b"]
    assert rows[0].split() == ["q1", "[7.0]", "Answer", "of", "a.", "[9.0]", "Answer", "of", "b."]
    assert rows[1].split() == ["q2", "Yes.", "(timed_out)"]
