"""try: an endpoint is sent a signed event about nothing, now, to see what it answers."""

import asyncio
import time
from dataclasses import dataclass

from app.domain.clock import utc_now
from app.domain.ids import Prefix, new_id
from app.domain.wire import Sender
from app.pipeline.attempt import Answer, Message, guarded_sender, post
from app.pipeline.endpoints import open_secrets
from app.pipeline.services import Services
from app.webhooks.events import EventType, body_of, check_types, sample_data


@dataclass(frozen=True, slots=True)
class Tried:
    """What an endpoint answered to a test."""

    endpoint_id: str
    event_id: str
    event_type: EventType
    answer: Answer
    latency_ms: int


async def try_endpoint(
    services: Services,
    account_id: str,
    endpoint_id: str,
    event_type: str,
    sender: Sender | None = None,
) -> Tried:
    """Send a test once; nothing of it is stored, and it counts for nothing.

    Raises:
        NotFoundError: the account has no such endpoint.
        InvalidRequestError: there is no such event type.
        SealError: the endpoint's secret does not open.
    """
    [kind] = check_types([event_type], param="event_type")
    endpoint, secrets = await asyncio.to_thread(
        open_secrets, services.store, services.vault, account_id, endpoint_id
    )
    event_id, now = new_id(Prefix.EVENT), utc_now()
    message = Message(
        event_id, body_of(event_id, kind, now, sample_data(kind)), endpoint.url, now, secrets
    )
    carrier, started = sender or guarded_sender(services.settings), time.monotonic()
    try:
        answer = await post(services.settings, message, carrier)
    finally:
        if sender is None:
            await carrier.close()
    latency_ms = round((time.monotonic() - started) * 1000)
    return Tried(endpoint.id, event_id, kind, answer, latency_ms)
