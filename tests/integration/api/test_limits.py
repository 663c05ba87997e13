"""How often an account may ask and how much it may have, and who guesses at keys."""

import asyncio
from typing import Any

import pytest
from fastapi import Request

from api.admission import Admission
from app.accounts.limits import Limits, set_limits
from app.accounts.tokens import new_token
from app.domain.errors import RateLimitedError, UnauthorizedError
from app.limits.requests import LocalRequests
from tests.fakes.clock import FakeClock
from tests.integration.api.conftest import Api, on_sqlite, refused, submission


@pytest.fixture
def clock(api: Api) -> FakeClock:
    """The clock of the API's counts, at the beginning of a minute."""
    clock = FakeClock()
    clock.advance(-clock() % 60)
    api.client.app.state.admission = Admission(api.engine.services, LocalRequests(clock))
    return clock


def limit(api: Api, **limits: int) -> None:
    with api.engine.store.transaction() as tx:
        set_limits(tx, api.engine.account_id, Limits(**limits))


def told(answer: Any) -> tuple[str, str, str]:
    names = ("limit", "remaining", "reset")
    return tuple(answer.headers[f"x-ratelimit-{name}"] for name in names)


@on_sqlite
def test_an_account_without_a_limit_is_told_of_none(api: Api) -> None:
    assert "x-ratelimit-limit" not in api.get("/v1/batches").headers


def test_an_account_is_told_how_often_it_may_ask_and_when_again(api: Api, clock: FakeClock) -> None:
    limit(api, requests_per_minute=2)
    reset = str(int(clock()) + 60)
    assert told(api.get("/v1/batches")) == ("2", "1", reset)
    # What is refused or not found counts, and is told as well.
    assert told(api.get("/v1/batches/batch_none")) == ("2", "0", reset)
    clock.advance(20.5)
    answer = api.get("/v1/batches")
    assert "in 40 s" in refused(answer, 429)
    assert answer.json()["error"]["type"] == "rate_limited"
    assert told(answer) == ("2", "0", reset)
    assert answer.headers["retry-after"] == "40"
    assert api.get("/v1/batches", key=api.stranger_key()).status_code == 200
    clock.advance(40)
    assert api.get("/v1/batches").status_code == 200


@on_sqlite
@pytest.mark.usefixtures("clock")
def test_all_keys_of_an_account_share_its_limit(api: Api) -> None:
    limit(api, requests_per_minute=2)
    another = api.post("/v1/api-keys", json={"name": "x", "scopes": ["read"]}).json()["secret"]
    assert api.get("/v1/batches", key=another).status_code == 200
    refused(api.get("/v1/batches"), 429)


@on_sqlite
@pytest.mark.usefixtures("clock")
def test_a11_no_header_makes_another_client_of_one(api: Api) -> None:
    limit(api, requests_per_minute=1)
    api.get("/v1/batches")
    spoofs = {"X-Forwarded-For": "203.0.113.7", "Forwarded": "for=203.0.113.7", "Host": "else"}
    refused(api.get("/v1/batches", headers=spoofs), 429)


async def guess_often(admission: Admission, times: int) -> set[str]:
    """Send well-formed keys that nobody has; the kinds of refusal."""
    answers = set()
    for _ in range(times):
        header = (b"authorization", f"Bearer {new_token().reveal()}".encode())
        scope = {"type": "http", "headers": [header], "client": ("testclient", 50000)}
        try:
            await admission.admit(Request(scope))
        except (UnauthorizedError, RateLimitedError) as error:
            answers.add(type(error).__name__)
        else:
            answers.add("admitted")
    return answers


@on_sqlite
def test_a7_ten_thousand_guesses_are_limited_and_lock_nobody_out(
    api: Api, clock: FakeClock
) -> None:
    allowed = api.engine.services.settings.failed_keys_per_minute
    for number in range(allowed + 2):
        guess = {"Authorization": f"Bearer {new_token().reveal()}", "X-Forwarded-For": f"{number}"}
        answer = api.get("/v1/batches", key=None, headers=guess)
        refused(answer, 401 if number < allowed else 429)
        assert ("retry-after" in answer.headers) == (number >= allowed)
    # The rest without the framework around it, which is what takes its time.
    assert asyncio.run(guess_often(api.client.app.state.admission, 10_000)) == {"RateLimitedError"}
    assert api.get("/v1/batches").status_code == 200
    refused(api.get("/v1/batches", key="nonsense"), 429)
    refused(api.get("/v1/batches", key=None), 401)
    clock.advance(60)
    refused(api.get("/v1/batches", key="nonsense"), 401)


def test_jobs_that_are_not_closed_are_limited(api: Api) -> None:
    limit(api, queued_jobs_max=3)
    api.submit("a", "b")
    answer = api.post("/v1/batches", json=submission("c", "d"))
    assert "4 jobs that are not closed, and it may have 3" in refused(answer, 403)
    assert answer.json()["error"]["type"] == "quota_exceeded"
    assert len(api.get("/v1/batches").json()["data"]) == 1
    api.submit("c")
    api.engine.drain()
    api.submit("d", "e", "f")
    assert api.get("/v1/account").json()["queued_jobs"] == 3


def test_bytes_of_files_are_limited(api: Api) -> None:
    line = b'{"prompt": "a"}'
    limit(api, storage_bytes_max=2 * len(line))
    for expected in (201, 201, 403):
        answer = api.post("/v1/files", files={"file": ("x.jsonl", line)})
        assert answer.status_code == expected
    assert "45 bytes of files, and it may have 30" in refused(answer, 403)
    assert api.get("/v1/account").json()["storage_bytes"] == 30


def test_an_account_sees_its_limits(api: Api) -> None:
    limit(api, queued_jobs_max=3, requests_per_minute=0)
    shown = api.get("/v1/account").json()
    assert shown["id"] == api.engine.account_id
    assert shown["limits"] == {
        "requests_per_minute": None,
        "queued_jobs_max": 3,
        "storage_bytes_max": None,
    }
