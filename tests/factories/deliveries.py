"""Deliveries made, moved in time and checked, and a sender that answers as told."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import openai
import standardwebhooks
import svix.webhooks
from sqlmodel import select

from app.domain.secret import Secret
from app.domain.spec import WebhookBody
from app.domain.wire import Request, Response, Sender
from app.models import Account, Delivery
from app.pipeline.attempt import Answer, guarded_sender
from app.pipeline.deliver import attempt, claim_deliveries, record_answers
from app.pipeline.endpoints import add_batch_endpoint
from app.pipeline.services import Services
from app.queue import Step
from app.webhooks.events import batch_event
from app.webhooks.outbox import record_event
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


def announce(
    services: Services,
    account: Account,
    url: str,
    secret: Secret | None = SECRET,
    batch_id: str = "batch_1",
) -> str:
    """A batch that completed, to be told at a URL; the delivery's id."""
    store = services.store
    with store.transaction() as tx:
        now = store.now(tx)
        webhook = WebhookBody(url=url, secret=secret and secret.reveal())
        add_batch_endpoint(tx, services.vault, account, batch_id, webhook, now)
        event = batch_event("batch.completed", batch_id, now)
        [delivery_id] = record_event(tx, store, account.id, batch_id, event)
    return delivery_id


def tell_many(services: Services, account: Account, batch_id: str, count: int) -> list[str]:
    """An endpoint of a batch with so many events before it; its deliveries."""
    store, made = services.store, []
    with store.transaction() as tx:
        now = store.now(tx)
        webhook = WebhookBody(url="https://hooks.example/")
        add_batch_endpoint(tx, services.vault, account, batch_id, webhook, now)
        for n in range(count):
            event = replace(batch_event("batch.completed", batch_id, now), key=f"{batch_id}:{n}")
            made += record_event(tx, store, account.id, batch_id, event)
    return made


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


def deliver(services: Services, sender: Sender | None = None, room: int = 64) -> int:
    """What is due now is tried once, by one worker; answers how many that were."""
    claims = claim_deliveries(services, room)

    async def together() -> list[Answer]:
        carrier = sender or guarded_sender(services.settings)
        try:
            return list(await asyncio.gather(*(attempt(services, one, carrier) for one in claims)))
        finally:
            await carrier.close()

    record_answers(services, list(zip(claims, asyncio.run(together()), strict=True)))
    return len(claims)


def due(services: Services) -> list[str]:
    """The deliveries that are to be tried now."""
    with services.store.read() as session:
        now = services.store.now(session)
        return list(
            session.exec(
                select(Delivery.id)
                .where(Delivery.state.in_(["queued", "sending"]), Delivery.due_at <= now)
                .order_by(Delivery.id)
            ).all()
        )


def verified(seen: Seen, secret: Secret = SECRET) -> dict[str, object]:
    """The event, if all three libraries accept it."""
    headers, key = dict(seen.headers), secret.reveal()
    svix.webhooks.Webhook(key).verify(seen.body, headers)
    client = openai.OpenAI(api_key="none", webhook_secret=key)
    event = client.webhooks.unwrap(seen.body, headers)
    assert standardwebhooks.Webhook(key).verify(seen.body, headers)["id"] == event.id
    return event.model_dump()
