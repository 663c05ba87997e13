"""Deliveries made, moved in time and checked, and a sender that answers as told."""

from collections.abc import Callable
from dataclasses import dataclass, field

import openai
import standardwebhooks
import svix.webhooks

from app.domain.secret import Secret
from app.domain.spec import WebhookBody
from app.domain.wire import Request, Response
from app.models import Account, Delivery
from app.pipeline.deliver import due_deliveries
from app.pipeline.endpoints import add_batch_endpoint
from app.pipeline.services import Services
from app.queue import Step
from app.webhooks.events import batch_event, record_event
from app.webhooks.signing import new_secret
from tests.fakes.http import Seen

SECRET = new_secret()


class NoQueue:
    """Hears no hint."""

    def send(self, step: Step, *ids: str) -> None:
        raise AssertionError(f"a hint of {step} {ids}")


@dataclass
class FakeSender:
    """Answers with these, in turn; an exception is raised, and a function called."""

    answers: list[Response | BaseException | Callable[[], Response]]
    requests: list[Request] = field(default_factory=list)

    async def send(self, request: Request, deadline_s: float) -> Response:
        assert deadline_s == 15
        self.requests.append(request)
        answer = self.answers.pop(0)
        if isinstance(answer, BaseException):
            raise answer
        return answer() if callable(answer) else answer

    async def close(self) -> None:
        """There is nothing to close."""


def answer(status: int, body: bytes = b"ok", **headers: str) -> Response:
    """A response."""
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    return Response(status, names, body)


def announce(services: Services, account: Account, url: str, secret: Secret | None = SECRET) -> str:
    """A batch that completed, to be told at a URL; the delivery's id."""
    store = services.store
    with store.transaction() as tx:
        now = store.now(tx)
        webhook = WebhookBody(url=url, secret=secret and secret.reveal())
        add_batch_endpoint(tx, services.vault, account, "batch_1", webhook, now)
        event = batch_event("batch.completed", "batch_1", now)
        [delivery_id] = record_event(tx, store, account.id, "batch_1", event)
    return delivery_id


def row_of(services: Services, delivery_id: str) -> Delivery:
    """The delivery as it is now."""
    with services.store.read() as session:
        return session.get_one(Delivery, delivery_id)


def wait_of(services: Services, delivery_id: str) -> float:
    """Seconds until the delivery is due."""
    with services.store.read() as session:
        due_at = session.get_one(Delivery, delivery_id).due_at
        return (due_at - services.store.now(session)).total_seconds()


def pass_the_wait(services: Services) -> None:
    with services.store.transaction() as tx:
        tx.execute(services.store.sql("UPDATE delivery SET due_at = {after_ms(-1000)}"))


def due(services: Services) -> list[str]:
    """The deliveries that are to be tried now."""
    with services.store.read() as session:
        return due_deliveries(session, 10)


def verified(seen: Seen, secret: Secret = SECRET) -> dict[str, object]:
    """The event, if all three libraries accept it."""
    headers, key = dict(seen.headers), secret.reveal()
    svix.webhooks.Webhook(key).verify(seen.body, headers)
    client = openai.OpenAI(api_key="none", webhook_secret=key)
    event = client.webhooks.unwrap(seen.body, headers)
    assert standardwebhooks.Webhook(key).verify(seen.body, headers)["id"] == event.id
    return event.model_dump()
