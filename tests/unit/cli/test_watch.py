"""Watching a batch shows how far it is, survives a restart of the API, and ends with the batch."""

import httpx
import pytest

from api.cli.client import Client
from api.cli.failure import ExitCode, Failure
from api.cli.watch import follow, summary_of, words_of
from tests.fakes.api import FakeApi, batch_view

RUNNING = {"state": "running", "jobs": {"succeeded": 1, "running": 2, "queued": 1}}


def client_of(api: FakeApi) -> Client:
    return Client("http://overnight.test", None, httpx.MockTransport(api.handle))


def test_it_follows_a_batch_until_it_is_closed(capsys: pytest.CaptureFixture[str]) -> None:
    api, naps = FakeApi(), list[float]()
    api.answer(
        "GET /v1/batches/batch_1", batch_view(**RUNNING), batch_view(**RUNNING), batch_view()
    )
    batch = follow(client_of(api), "batch_1", naps.append)
    assert batch["state"] == "completed"
    assert len(naps) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert len(shown.err.splitlines()) == 2  # a line only when something changed
    assert "1/4 jobs · 8/8 calls" in shown.err


def test_an_api_that_restarts_meanwhile_is_waited_for() -> None:
    api = FakeApi()
    away = httpx.ConnectError("refused")
    api.answer("GET /v1/batches/batch_1", batch_view(**RUNNING), away, away, batch_view())
    assert follow(client_of(api), "batch_1", lambda _: None)["state"] == "completed"


def test_an_api_that_never_answered_is_not_waited_for() -> None:
    api = FakeApi()
    api.answer("GET /v1/batches/batch_1", httpx.ConnectError("refused"))
    with pytest.raises(Failure) as caught:
        follow(client_of(api), "batch_1", lambda _: None)
    assert caught.value.code == ExitCode.UNREACHABLE


def test_a_summary_says_what_came_of_the_jobs_and_what_they_cost() -> None:
    batch = batch_view(jobs={"succeeded": 3, "failed": 1})
    batch["cost"]["unpriced_calls"] = 2
    assert summary_of(batch) == (
        "batch_1 completed: 3 succeeded, 1 failed of 4 jobs, 8 calls, "
        "$0.0125 and 2 calls without a price"
    )


def test_calls_without_a_price_are_not_taken_for_free() -> None:
    batch = batch_view()
    batch["cost"] = {"spent_nanos": 0, "unpriced_calls": 8}
    assert "cost unknown" in summary_of(batch)


def test_what_a_batch_waits_for_is_said() -> None:
    waits = {"reason": "lane_parked", "until": None, "lane": "lane_1"}
    assert "waits: lane parked" in words_of(batch_view(**RUNNING, waiting_on=waits))


def test_what_is_left_is_estimated() -> None:
    assert "about 2 min left" in words_of(batch_view(**RUNNING, eta_s=120))


def test_a_sample_is_named_while_it_runs_and_once_it_waits() -> None:
    assert "sample of 2 jobs, about 2 min left" in words_of(
        batch_view(**RUNNING, sample=2, eta_s=120)
    )
    assert words_of(batch_view(**RUNNING, sample=2)).endswith("sample of 2 jobs")
    waits = {"reason": "sample", "until": None, "lane": None}
    assert words_of(batch_view(**RUNNING, sample=2, waiting_on=waits)).endswith(
        "waits: the sample of 2 jobs is done; `overnight resume batch_1`"
    )


def test_answers_that_were_used_again_are_counted() -> None:
    batch = batch_view(**RUNNING)
    batch["counts"]["calls"] = {"total": 8, "closed": 8, "cached": 3}
    assert "8/8 calls, 3 cached" in words_of(batch)
