"""The senders under contract, and what their tests share."""

import pytest

from app.domain.errors import AppError
from app.domain.wire import Request, Sender
from app.net import GuardedSender
from app.providers.senders import FastSender, HttpxSender

CAP_BYTES = 1_000_000
CONNECT_TIMEOUT_S = 1.0
DEADLINE_S = 5.0
CANARY = "sk-canary-0123456789"
BODY = b'{"model": "m", "messages": [{"role": "user", "content": "hi"}]}'


def make_sender(kind: str) -> Sender:
    options = {"response_bytes_max": CAP_BYTES, "connect_timeout_s": CONNECT_TIMEOUT_S}
    match kind:
        case "httpx":
            return HttpxSender(**options)
        case "fast":
            return FastSender(**options)
        case "fast, many":
            return FastSender(**options, in_flight_max=1024)
        case _:
            return GuardedSender(("127.0.0.1",), **options)


def request_to(url: str, **headers: str) -> Request:
    return Request(
        "POST", f"{url}/chat/completions", {"authorization": f"Bearer {CANARY}"} | headers, BODY
    )


async def outcome(sender: Sender, request: Request, deadline_s: float = DEADLINE_S) -> AppError:
    """The error it ends in, which shows no secret and no library's exception behind it."""
    with pytest.raises(AppError) as caught:
        await sender.send(request, deadline_s)
    error = caught.value
    assert CANARY not in repr(error)
    assert error.__suppress_context__ or error.__context__ is None
    return error
