"""A demonstration ends in one line of JSON, and does not call well what is not."""

import json
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any

import msgspec
import pytest
import typer
from standardwebhooks import Webhook

from api.cli.demo import perform
from api.cli.demo_local import check_answers
from api.cli.demo_receiver import Receiver
from api.cli.demo_simulated import (
    CONTESTANTS,
    body_of_demo,
    check_batch,
    check_order,
    demo_prompts,
    planted_qualities,
)
from api.cli.failure import Failure
from app.domain.spec import BatchBody
from app.pipeline.variants import make_plan
from app.webhooks.signing import new_secret
from tests.fakes.api import batch_view


def last_line(capsys: pytest.CaptureFixture[str]) -> Any:
    return json.loads(capsys.readouterr().out.splitlines()[-1])


def test_what_was_found_is_the_last_line(capsys: pytest.CaptureFixture[str]) -> None:
    perform("demo", lambda: {"jobs": 48})
    line = last_line(capsys)
    assert line.pop("seconds") >= 0
    assert line == {"demo": "ok", "jobs": 48}


@pytest.mark.parametrize(
    ("error", "why"),
    [
        (Failure("the leaderboard is wrong"), "the leaderboard is wrong"),
        (KeyError("score"), "KeyError: 'score'"),
        (KeyboardInterrupt(), "interrupted"),
    ],
)
def test_whatever_goes_wrong_is_said_there_too(
    error: BaseException, why: str, capsys: pytest.CaptureFixture[str]
) -> None:
    def show() -> dict[str, Any]:
        raise error

    with pytest.raises(typer.Exit) as ending:
        perform("demo_local", show)
    assert ending.value.exit_code == 1
    assert last_line(capsys) == {"demo_local": "failed", "why": why}


def test_there_are_prompts_enough_and_each_is_another() -> None:
    prompts = demo_prompts()
    assert len(prompts) >= 40
    assert len({job["custom_id"] for job in prompts}) == len(prompts)
    assert len({job["prompt"] for job in prompts}) == len(prompts)


def test_the_submission_is_one_that_the_api_takes() -> None:
    body = body_of_demo(demo_prompts(), "http://127.0.0.1:1/webhooks")
    assert len(body.pop("jobs")) >= 40
    plan = make_plan(BatchBody.model_validate_json(msgspec.json.encode(body)))
    assert len(plan.variants) >= 4
    assert plan.judge is not None


def ranking(*names: str) -> dict[str, Any]:
    return {"leaderboard": [{"label": f"simulated/{name}"} for name in names]}


def test_only_the_planted_order_passes() -> None:
    check_order(ranking("gold", "silver", "bronze", "tin"))
    with pytest.raises(Failure, match="planted was"):
        check_order(ranking("silver", "gold", "bronze", "tin"))


def test_models_are_not_submitted_in_the_order_that_is_to_be_found() -> None:
    truth = planted_qualities()
    submitted = [f"simulated/{name}" for name in CONTESTANTS]
    assert submitted != sorted(submitted, key=lambda label: -truth[label])


def test_a_batch_passes_only_with_every_job() -> None:
    check_batch(batch_view(), 4)
    with pytest.raises(Failure, match="4 of 5 jobs"):
        check_batch(batch_view(), 5)
    with pytest.raises(Failure, match="is failed"):
        check_batch(batch_view(state="failed"), 4)


def test_the_receiver_takes_only_what_is_signed() -> None:
    secret = new_secret().reveal()
    receiver, body = Receiver(secret), '{"type":"batch.completed","data":{"id":"batch_1"}}'
    now = datetime.now(UTC)
    headers = {
        "webhook-id": "evt_1",
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": Webhook(secret).sign("evt_1", now, body),
    }
    assert receiver.take(body.encode(), headers) == HTTPStatus.NO_CONTENT
    assert receiver.take(body.replace("1", "2").encode(), headers) == HTTPStatus.UNAUTHORIZED
    assert receiver.wait_for("batch.completed", "batch_1", 1)
    assert not receiver.wait_for("batch.completed", "batch_2", 0)
    assert (len(receiver.verified), receiver.refused) == (1, 1)


def answer(**changes: Any) -> list[dict[str, Any]]:
    one = {
        "role": "candidate",
        "label": "0.1",
        "state": "succeeded",
        "text": "Red, green and blue.",
        "usage": {"output_tokens": 6, "estimated": False},
        "latency_ms": 900,
        "error": None,
    }
    return [{"custom_id": "rainbow", "completions": [one | changes]}]


def test_a_real_answer_has_text_usage_and_a_latency() -> None:
    check_answers(answer())
    for broken in (
        {"text": " "},
        {"state": "failed"},
        {"usage": {"output_tokens": 0, "estimated": False}},
        {"usage": {"output_tokens": 6, "estimated": True}},
        {"latency_ms": 0},
    ):
        with pytest.raises(Failure, match="rainbow at 0.1"):
            check_answers(answer(**broken))
