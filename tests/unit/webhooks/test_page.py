"""What docs/webhooks.md says is so: its bodies, its code, its numbers."""

import json
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from app.domain.clock import utc_now
from app.pipeline.deliver import ENDPOINT_AT_ONCE
from app.pipeline.endpoints import ENDPOINTS_MAX
from app.pipeline.replay import REPLAYED_MAX
from app.webhooks.events import (
    ON_REQUEST,
    PROGRESS_PERCENT,
    EventType,
    batch_event,
    body_of,
    check_types,
    sample_data,
    threshold_passed,
)
from app.webhooks.signing import new_secret, signed_headers

PAGE = (Path(__file__).parents[3] / "docs" / "webhooks.md").read_text()
MOMENT = datetime(2026, 11, 25, 6, tzinfo=UTC)


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


def namespace_of(code: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    exec(code, found)
    return found


RECEIVERS = [code for code in blocks("python") if "def receive" in code]


def test_the_bodies_are_those_that_are_sent() -> None:
    shown = [json.loads(block) for block in blocks("json")]
    assert len(shown) == 5
    for body in shown:
        kind = EventType(body["type"])
        assert body == json.loads(body_of("evt_" + "0" * 26, kind, MOMENT, sample_data(kind)))


@pytest.mark.parametrize("code", RECEIVERS, ids=["standardwebhooks", "svix", "openai"])
def test_the_code_verifies_and_refuses(code: str) -> None:
    receive, secret = namespace_of(code)["receive"], new_secret()
    kind = EventType.BATCH_COMPLETED
    body = body_of("evt_1", kind, utc_now(), sample_data(kind))
    headers = signed_headers([new_secret(), secret], "evt_1", utc_now(), body)
    assert receive(secret.reveal(), body.encode(), headers)["type"] == "batch.completed"
    with pytest.raises(Exception, match=r"(?i)signature"):
        receive(new_secret().reveal(), body.encode(), headers)


def test_w12_a_receiver_that_does_as_the_page_says_drops_what_is_old() -> None:
    [code] = [code for code in blocks("python") if "def is_news" in code]
    is_news = namespace_of(code)["is_news"]

    def event(kind: str, **data: object) -> dict[str, object]:
        return {"type": kind, "data": data}

    progress = "overnight.batch.progress"
    assert is_news(event(progress, id="batch_1", seq=3))
    assert not is_news(event(progress, id="batch_1", seq=2))
    assert not is_news(event(progress, id="batch_1", seq=3))
    assert is_news(event(progress, id="batch_2", seq=1))
    assert not is_news(event("overnight.lane.parked", id="lane_1", batch_id="batch_1", seq=1))
    assert is_news(event("overnight.job.completed", id="job_1", batch_id="batch_1", seq=1))
    assert is_news(event("batch.completed", id="batch_1"))
    assert is_news(event(progress, id="batch_1", seq=4))


def test_the_page_names_every_event_and_limit() -> None:
    rows = re.findall(r"^\| (`.*?) \|.*\| (yes|on request) \|$", PAGE, re.MULTILINE)
    named = {kind: when for kinds, when in rows for kind in re.findall(r"`([\w.]+)`", kinds)}
    assert named == {
        kind.value: "on request" if kind in ON_REQUEST else "yes" for kind in EventType
    }
    for number in (ENDPOINT_AT_ONCE, ENDPOINTS_MAX, f"{REPLAYED_MAX:,}"):
        assert f" {number} " in PAGE.replace("\n", " ").replace(",", ", ").replace(", 000", ",000")
    assert "{}, {}, {}, {} or {} %".format(*PROGRESS_PERCENT) in PAGE


@pytest.mark.parametrize(
    ("total", "before", "now", "percent"),
    [
        (100, 0, 9, None),
        (100, 9, 10, 10),
        (100, 10, 24, None),
        (100, 0, 80, 75),
        (2, 0, 1, 50),
        (3, 0, 1, 25),
        (1, 0, 1, 90),
        (50_000, 44_999, 45_000, 90),
        (7, 3, 3, None),
    ],
)
def test_a_threshold_is_passed_once(total: int, before: int, now: int, percent: int | None) -> None:
    assert threshold_passed(total, before, now) == percent


def test_ours_show_their_batch_and_openais_do_not() -> None:
    for kind in EventType:
        event = batch_event(kind.value, "batch_1", MOMENT)
        assert event.shows_batch == kind.value.startswith("overnight.")


def test_event_types_are_put_into_one_order_without_repeats() -> None:
    asked = ["overnight.batch.progress", "batch.failed", "batch.failed"]
    assert check_types(asked, param="x") == (EventType.BATCH_FAILED, EventType.BATCH_PROGRESS)
