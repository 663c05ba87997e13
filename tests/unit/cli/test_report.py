"""A report reads as a leaderboard with costs, and what is not known is not nothing."""

import json
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from api.cli.failure import ExitCode
from api.cli.report import show_report
from tests.factories.reports import (
    make_against,
    make_against_row,
    make_cost,
    make_failure,
    make_judge,
    make_proof,
    make_rating,
    make_report,
    make_row,
    make_test,
    make_trust,
)
from tests.fakes.api import FakeApi
from tests.unit.cli.conftest import Overnight


def entry(label: str, **changes: Any) -> dict[str, Any]:
    score = {"value": 7.25, "low": 7.0, "high": 7.5, "prompts": 40}
    row = make_row(label, failed=2, missing=1, rating=None)
    return msgspec.to_builtins(row) | {"score": score} | changes


def report(*entries: dict[str, Any], **changes: Any) -> dict[str, Any]:
    view = make_report(
        judges=[make_judge("simulated/judge", cost_nanos=None)],
        cost=make_cost(spent_nanos=5_000_000),
        notes=["Simulated models took part."],
        wins=None,
        tests=[],
    )
    return msgspec.to_builtins(view) | {"leaderboard": list(entries)} | changes


def shown(capsys: pytest.CaptureFixture[str], found: dict[str, Any], **truth: float) -> str:
    show_report(found, truth or None)
    return capsys.readouterr().out


def test_a_model_s_row_has_its_score_with_its_interval(capsys: pytest.CaptureFixture[str]) -> None:
    text = shown(capsys, report(entry("a/b")))
    for part in ("a/b", "7.25", "7.00-7.50", "50 %", "800 ms", "2.1 s", "$0.005", "34,000"):
        assert part in text


def test_failures_are_shown_where_there_are_any(capsys: pytest.CaptureFixture[str]) -> None:
    assert "failed" in shown(capsys, report(entry("a/b", failed=1), entry("c/d", failed=0)))
    assert "failed" not in shown(capsys, report(entry("a/b", failed=0)))


def test_the_leaderboard_fits_a_terminal_of_eighty_columns(
    capsys: pytest.CaptureFixture[str],
) -> None:
    clean = {"failed": 0, "missing": 0, "latency_p50_ms": 12_345, "latency_p95_ms": 123_456}
    text = shown(capsys, report(entry("simulated/bronze", **clean)), **{"simulated/bronze": 5.5})
    _, *tables = text.splitlines()  # words wrap by themselves
    assert max(map(len, tables)) <= 80


def test_a_score_by_itself_is_marked(capsys: pytest.CaptureFixture[str]) -> None:
    assert "7.25*" in shown(capsys, report(entry("a/b", self_judged=True)))


def test_a_model_without_a_score_is_still_there(capsys: pytest.CaptureFixture[str]) -> None:
    text = shown(capsys, report(entry("a/b", rank=None, score=None, win_share=None)))
    assert "a/b" in text
    assert "None" not in text


def test_an_unknown_cost_is_called_so(capsys: pytest.CaptureFixture[str]) -> None:
    assert "unknown" in shown(capsys, report(entry("a/b", cost_nanos=None)))


def test_without_judges_there_are_no_scores(capsys: pytest.CaptureFixture[str]) -> None:
    row = entry("a/b", rank=None, score=None, win_share=None)
    text = shown(capsys, report(row, mode="compare", judges=[]))
    assert "score" not in text
    assert "#" not in text


def test_the_truth_stands_beside_what_was_found(capsys: pytest.CaptureFixture[str]) -> None:
    assert "8.5" in shown(capsys, report(entry("gold")), gold=8.5)


def test_notes_and_possible_duplicate_spend_are_said(capsys: pytest.CaptureFixture[str]) -> None:
    cost = msgspec.to_builtins(make_cost(possible_duplicate_nanos=1_000_000))
    text = shown(capsys, report(entry("a/b"), cost=cost))
    assert "Simulated models took part." in text
    assert "possible duplicate spend: $0.001" in text


def test_programs_get_the_report_as_it_is(
    overnight: Overnight, api: FakeApi, capsys: pytest.CaptureFixture[str]
) -> None:
    api.answer("GET /v1/batches/batch_1/report", report(entry("a/b")))
    assert overnight("report", "batch_1", "--json") == ExitCode.DONE
    assert json.loads(capsys.readouterr().out) == report(entry("a/b"))


def test_a_written_report_is_printed_or_kept_as_the_api_wrote_it(
    overnight: Overnight, api: FakeApi, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    api.answer("GET /v1/batches/batch_1/report", httpx.Response(200, text="### nightly\n"))
    assert overnight("report", "batch_1", "--format", "md") == ExitCode.DONE
    assert capsys.readouterr().out == "### nightly\n"
    assert api.journal[-1].url.params["format"] == "md"
    kept = tmp_path / "report.md"
    assert overnight("report", "batch_1", "--format", "md", "-o", str(kept)) == ExitCode.DONE
    assert kept.read_text() == "### nightly\n"


def test_a_format_that_is_none_is_refused(overnight: Overnight, api: FakeApi) -> None:
    assert overnight("report", "batch_1", "--format", "docx") == ExitCode.USAGE
    assert api.journal == []


def test_a_page_is_kept_and_opened(
    overnight: Overnight, api: FakeApi, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    opened: list[str] = []
    monkeypatch.setattr("api.cli.written.webbrowser.open", lambda url: not opened.append(url))
    api.answer("GET /v1/batches/batch_1/report", httpx.Response(200, text="<!doctype html>"))
    page = tmp_path / "report.html"
    assert overnight("report", "batch_1", "--open", "-o", str(page)) == ExitCode.DONE
    assert api.journal[-1].url.params["format"] == "html"
    assert opened == [page.as_uri()]
    assert page.read_text() == "<!doctype html>"


def test_a_rating_is_shown_with_how_far_its_interval_reaches(capsys: pytest.CaptureFixture[str]):
    rating = msgspec.to_builtins(make_rating(1092.27))
    show_report(report(entry("good", rating=rating), entry("unrated", rating=None)))
    assert "1092 ± 40" in capsys.readouterr().out


def test_a_blend_is_shown_against_the_best_of_its_sources(capsys: pytest.CaptureFixture[str]):
    proof = msgspec.to_builtins(make_proof("acme/a", "acme/b"))
    show_report(report(entry("synthesis"), blend=proof))
    shown = capsys.readouterr().out
    assert "18 won, 6 tied, 6 lost on 30 prompts" in shown
    assert "+$0.004 and +2.2 s for each win more than losses" in shown
    assert "With acme/b it scores +0.25" in shown


def test_a_batch_is_shown_against_another(
    overnight: Overnight, api: FakeApi, capsys: pytest.CaptureFixture[str]
) -> None:
    row = make_against_row("new", against_label="old")
    view = msgspec.to_builtins(make_against(row, notes=["Keep \x1b[2J in mind."]))
    api.answer("GET /v1/batches/batch_1/report", view)
    assert overnight("report", "batch_1", "--against", "batch_0") == ExitCode.DONE
    assert api.journal[-1].url.params["against"] == "batch_0"
    shown = capsys.readouterr().out
    assert "new is better than old, by 0.50 points on 40 shared prompts" in shown
    for part in ("+0.50 [+0.20, +0.80]", "better", "+$0.000123", "+250 ms", "Keep  [2J in mind."):
        assert part in shown
    assert overnight("report", "batch_1", "--against", "batch_0", "--json") == ExitCode.DONE
    assert json.loads(capsys.readouterr().out) == view


def test_a_gate_is_of_the_batch_itself_also_where_it_is_compared(
    overnight: Overnight, api: FakeApi
) -> None:
    api.answer(
        "GET /v1/batches/batch_1/report", msgspec.to_builtins(make_against()), report(entry("a"))
    )
    words = ("report", "batch_1", "--against", "batch_0", "--gate", "score(a) > 9")
    assert overnight(*words) == ExitCode.FAILED
    assert "against" not in api.journal[-1].url.params


def test_the_terminal_has_the_answer_the_tests_the_judges_and_the_failures(
    capsys: pytest.CaptureFixture[str],
) -> None:
    told = {
        "tests": [msgspec.to_builtins(make_test("a/b", "c/d", 1.0))],
        "trust": msgspec.to_builtins(make_trust("simulated/judge")),
        "failures": [msgspec.to_builtins(make_failure("c/d", "rate_limited"))],
    }
    text = shown(capsys, report(entry("a/b"), entry("c/d", rank=2), **told))
    assert text.startswith("a/b has the best mean score")
    for part in ("+1.00 [+0.70, +1.30]", "20 % [10, 30]", "1 of 40", "rate_limited", "alpha"):
        assert part in text
