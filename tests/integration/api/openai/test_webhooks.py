"""Webhook endpoints through the official client, and events that it unwraps."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openai
import pytest
from openai.types import webhooks as types

from app.pipeline.control import cancel
from tests.fakes.http import respond
from tests.fakes.webhooks import FakeReceiver
from tests.integration.api.conftest import Api

ENDED = ["batch.completed", "batch.failed", "batch.expired", "batch.cancelled"]
QUICK = {"params": {"extra": {"simulated": {"latency_ms": 0}}}}


@pytest.fixture
def receiver() -> Iterator[FakeReceiver]:
    with FakeReceiver() as receiver:
        yield receiver


def test_an_endpoint_is_made_shown_listed_changed_and_deleted(
    client: openai.OpenAI, receiver: FakeReceiver
) -> None:
    made = client.webhooks.create(name="ours", url=receiver.url, event_types=ENDED[:1])
    assert isinstance(made, types.WebhookEndpointWithSecret)
    assert made.object == "webhook_endpoint"
    assert made.signing_secret.startswith("whsec_")
    shown = client.webhooks.retrieve(made.id)
    assert isinstance(shown, types.WebhookEndpoint)
    assert (shown.name, shown.url, shown.event_types) == ("ours", receiver.url, ENDED[:1])
    assert "signing_secret" not in shown.model_dump()
    assert shown.signing_secret_hint == made.signing_secret_hint
    changed = client.webhooks.update(made.id, event_types=ENDED, name="theirs")
    assert (changed.name, changed.url, changed.event_types) == ("theirs", receiver.url, ENDED)
    others = [
        client.webhooks.create(name="", url=receiver.url, event_types=ENDED).id for _ in range(2)
    ]
    listed = list(client.webhooks.list(limit=2))  # the client turns the pages
    assert [one.id for one in listed] == [made.id, *others]
    gone = client.webhooks.delete(made.id)
    assert (gone.id, gone.deleted, gone.object) == (made.id, True, "webhook_endpoint.deleted")
    with pytest.raises(openai.NotFoundError):
        client.webhooks.retrieve(made.id)


def test_the_pages_example_makes_and_tests_an_endpoint(
    client: openai.OpenAI, receiver: FakeReceiver
) -> None:
    page = (Path(__file__).parents[4] / "docs" / "webhooks.md").read_text()
    [code] = re.findall(r"```python\n([^`]*def watch.*?)```", page, re.DOTALL)
    found: dict[str, Any] = {}
    exec(code, found)
    secret = found["watch"](client, receiver.url)
    [seen] = receiver.journal
    assert client.webhooks.unwrap(seen.body, dict(seen.headers), secret=secret)


def test_the_event_types_are_openais_and_ours(client: openai.OpenAI) -> None:
    listed = client.webhooks.event_types.list()
    assert listed.object == "list"
    assert listed.data[:4] == ENDED
    assert "overnight.batch.progress" in listed.data


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("batch.completed", types.BatchCompletedWebhookEvent),
        ("batch.failed", types.BatchFailedWebhookEvent),
        ("batch.expired", types.BatchExpiredWebhookEvent),
        ("batch.cancelled", types.BatchCancelledWebhookEvent),
    ],
)
def test_w7_a_test_event_unwraps_to_its_class(
    client: openai.OpenAI, receiver: FakeReceiver, kind: str, expected: type
) -> None:
    made = client.webhooks.create(name="ours", url=receiver.url, event_types=ENDED)
    receiver.reply_with(respond(202))
    result = client.webhooks.test(made.id, event_type=kind)
    assert (result.status_code, result.success, result.event_type) == (202, True, kind)
    assert result.webhook_endpoint_id == made.id
    [seen] = receiver.journal
    event = client.webhooks.unwrap(seen.body, dict(seen.headers), secret=made.signing_secret)
    assert type(event) is expected
    assert event.data.id.startswith("batch_")


def test_w7_real_events_unwrap_too_also_with_the_secret_before_a_rotation(
    api: Api, client: openai.OpenAI, receiver: FakeReceiver
) -> None:
    made = client.webhooks.create(name="ours", url=receiver.url, event_types=ENDED)
    kept = client.webhooks.rotate_secret(made.id, keep_old_secret_active_for_24_hours=True)
    assert kept.signing_secret != made.signing_secret
    done = api.finished("one", **QUICK)
    stopped = api.submit("two", **QUICK)
    cancel(api.engine.services, api.engine.account_id, stopped["id"])
    api.engine.drain()
    events = [
        client.webhooks.unwrap(seen.body, dict(seen.headers), secret=secret)
        for seen in receiver.journal
        for secret in (made.signing_secret, kept.signing_secret)
    ]
    completed, cancelled = types.BatchCompletedWebhookEvent, types.BatchCancelledWebhookEvent
    assert [type(event) for event in events] == [completed] * 2 + [cancelled] * 2
    assert [event.data.id for event in events[::2]] == [done["id"], stopped["id"]]
    fresh = client.webhooks.rotate_secret(made.id)
    api.finished("three", **QUICK)
    seen = receiver.journal[-1]
    assert client.webhooks.unwrap(seen.body, dict(seen.headers), secret=fresh.signing_secret)
    with pytest.raises(openai.InvalidWebhookSignatureError):
        client.webhooks.unwrap(seen.body, dict(seen.headers), secret=kept.signing_secret)


def test_a_test_of_an_endpoint_that_does_not_answer_is_an_error(client: openai.OpenAI) -> None:
    made = client.webhooks.create(name="", url="http://127.0.0.1:9/", event_types=ENDED)
    with pytest.raises(openai.BadRequestError, match="did not answer"):
        client.webhooks.test(made.id, event_type="batch.completed")


@pytest.mark.parametrize(
    ("url", "kinds", "param"),
    [
        ("https://10.0.0.1/", ENDED, "url"),
        ("https://hooks.example/", ["response.completed"], "event_types"),
        ("https://hooks.example/", [], "event_types"),
    ],
)
def test_x1_what_cannot_be_is_refused_in_openais_shape(
    client: openai.OpenAI, url: str, kinds: list[str], param: str
) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        client.webhooks.create(name="x", url=url, event_types=kinds)
    assert caught.value.param == param
    assert list(client.webhooks.list()) == []


def test_a1_another_account_finds_nothing(api: Api, client: openai.OpenAI) -> None:
    made = client.webhooks.create(name="", url="https://hooks.example/", event_types=ENDED)
    stranger = client.with_options(api_key=api.stranger_key())
    assert list(stranger.webhooks.list()) == []
    for act in (
        lambda: stranger.webhooks.retrieve(made.id),
        lambda: stranger.webhooks.update(made.id, name="x"),
        lambda: stranger.webhooks.rotate_secret(made.id),
        lambda: stranger.webhooks.test(made.id, event_type="batch.completed"),
        lambda: stranger.webhooks.delete(made.id),
    ):
        with pytest.raises(openai.NotFoundError):
            act()
