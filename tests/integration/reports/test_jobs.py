"""One job in full."""

from datetime import timedelta

import msgspec
import pytest

from app.db import Store
from app.domain.errors import NotFoundError
from app.models import Account, Job
from app.reports.jobs import job_view
from app.reports.results import result_page
from app.reports.views import JobView
from tests.factories import (
    NIGHT,
    lane_of,
    make_attempt,
    make_batch,
    make_call,
    make_job,
    make_verdict,
)
from tests.factories.plans import make_judge_plan

SHUFFLE = {"repair": False, "contestants": {"X7": "simulated/b", "K2": "simulated/a"}}


@pytest.fixture
def job(store: Store, account: Account) -> Job:
    """A judged job; its first candidate was tried twice, its second waits for a third try."""
    with store.transaction() as tx:
        plan = make_judge_plan("simulated/a", "simulated/b", judges=["simulated/judge"])
        batch = make_batch(tx, account, plan)
        job = make_job(tx, batch, "Why?", reference="Because.", round=2)
        first = make_call(tx, job, "simulated/a", epoch=2, attempts=1)
        make_attempt(
            tx, first, epoch=1, state="failed", status_code=500, reason="server_error",
            message="Try again.", latency_ms=30,
        )  # fmt: skip
        due = NIGHT + timedelta(minutes=1)
        waiting = {"wait_reason": "backoff", "due_at": due, "reason": "timeout"}
        make_call(tx, job, "simulated/b", state="queued", **waiting)
        make_call(tx, job, "simulated/judge", role="judge", round=2, meta=SHUFFLE)
        make_verdict(tx, job, {"simulated/a": 8.0, "simulated/b": 3.0})
    return job


@pytest.fixture
def view(store: Store, account: Account, job: Job) -> JobView:
    """The job as its account sees it."""
    with store.read() as session:
        return job_view(session, account.id, job.id)


def test_it_begins_as_its_result_line(
    store: Store, account: Account, job: Job, view: JobView
) -> None:
    with store.read() as session:
        (line,), _ = result_page(session, account.id, job.batch_id)
    wire = msgspec.json.decode(msgspec.json.encode(view))
    assert wire.items() >= msgspec.json.decode(msgspec.json.encode(line)).items()
    assert (view.object, view.batch_id, view.position, view.round) == ("job", job.batch_id, 0, 2)


def test_what_it_asked_is_there_with_its_reference(view: JobView) -> None:
    assert view.prompt is not None
    assert [(one.role, one.content) for one in view.prompt.messages] == [("user", "Why?")]
    assert view.prompt.reference == "Because."


def test_every_attempt_is_listed_under_its_call(view: JobView) -> None:
    assert [(one.round, one.role, one.label) for one in view.calls] == [
        (1, "candidate", "simulated/a"),
        (1, "candidate", "simulated/b"),
        (2, "judge", "simulated/judge"),
    ]
    first, second = view.calls[0].attempts
    assert (first.epoch, first.state, first.status_code) == (1, "failed", 500)
    assert (first.reason, first.message, first.latency_ms) == ("server_error", "Try again.", 30)
    assert (first.started_at, first.finished_at) == (NIGHT, NIGHT + timedelta(seconds=1))
    assert (second.epoch, second.state, second.reason) == (2, "succeeded", None)


def test_a_waiting_call_says_why_and_until_when(view: JobView) -> None:
    answered, waiting, _ = view.calls
    assert (waiting.state, waiting.wait_reason) == ("queued", "backoff")
    assert waiting.due_at == NIGHT + timedelta(minutes=1)
    assert (answered.wait_reason, answered.due_at) == (None, None)


def test_the_judge_s_shuffle_is_recorded(view: JobView) -> None:
    assert view.calls[2].meta == SHUFFLE


def test_the_verdict_says_what_each_judge_gave(view: JobView) -> None:
    assert view.verdict is not None
    verdict = msgspec.json.decode(view.verdict)
    assert [(one["judge"], one["label"], one["score"]) for one in verdict["judges"]] == [
        ("simulated/judge", "simulated/a", 8.0),
        ("simulated/judge", "simulated/b", 3.0),
    ]


def test_a_call_names_its_lane(store: Store, account: Account, view: JobView) -> None:
    with store.transaction() as tx:
        lane = lane_of(tx, account.id, "simulated")
    assert {(call.provider, call.lane) for call in view.calls} == {("simulated", lane.id)}


def test_another_account_s_job_is_as_unknown_as_none(
    store: Store, account: Account, stranger: Account, job: Job
) -> None:
    with store.read() as session:
        with pytest.raises(NotFoundError, match=f"^there is no job '{job.id}'$"):
            job_view(session, stranger.id, job.id)
        with pytest.raises(NotFoundError, match="^there is no job 'job_none'$"):
            job_view(session, account.id, "job_none")
