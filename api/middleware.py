"""Around every request: its id, its line in the log, and an answer whatever happens inside."""

import time
from collections.abc import MutableMapping
from typing import Any

import structlog
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.errors import unexpected_answer
from app.domain.ids import Prefix, new_id

log = structlog.get_logger(__name__)

_QUIET = frozenset({"/healthz", "/readyz", "/metrics"})
_HEADERS = [
    (b"x-content-type-options", b"nosniff"),
    (b"cache-control", b"no-store"),
]


class RequestMiddleware:
    """Plain ASGI, so that a streamed answer passes through as it is."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        exchange = _Exchange(scope, receive, send)
        with structlog.contextvars.bound_contextvars(request_id=exchange.request_id):
            await self._handle(exchange)
            exchange.note()
            await exchange.follow_up()

    async def _handle(self, exchange: "_Exchange") -> None:
        try:
            await self._app(exchange.scope, exchange.receive, exchange.send)
        except ClientDisconnect:
            log.info("client_left", route=exchange.route)
        except Exception:
            log.exception("request_failed", route=exchange.route)
            if exchange.status is not None:
                # Half an answer must not look like a whole one: the server breaks it off.
                raise
            answer = unexpected_answer(exchange.scope, exchange.request_id)
            await answer(exchange.scope, exchange.receive, exchange.send)


class _Exchange:
    """One request and what became of it."""

    def __init__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        self.request_id = new_id(Prefix.REQUEST)
        self.scope = scope
        self.status: int | None = None
        self._receive = receive
        self._send = send
        self._is_body_read = not _has_body(scope)
        self._started = time.monotonic()
        scope["request_id"] = self.request_id

    @property
    def route(self) -> str:
        """The route as it is declared: what stands in a path is not for the log."""
        return str(getattr(self.scope.get("route"), "path", "unknown"))

    async def receive(self) -> Message:
        """Receive, and know when all of the body was."""
        message = await self._receive()
        if message["type"] == "http.request" and not message.get("more_body", False):
            self._is_body_read = True
        return message

    async def send(self, message: Message) -> None:
        """Send on, with the headers that every answer has."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            own = (b"x-request-id", self.request_id.encode())
            message["headers"] = [*message.get("headers", ()), own, *_HEADERS]
            message["headers"] += self.scope.get("answer_headers", ())
            if not self._is_body_read:
                # Or the server would read a body to its end that nobody wants.
                message["headers"].append((b"connection", b"close"))
        await self._send(message)

    async def follow_up(self) -> None:
        """What was put off until nobody waits for it."""
        for work, args in self.scope.get("after_answer", ()):
            try:
                await run_in_threadpool(work, *args)
            except Exception:
                log.exception("follow_up_failed", route=self.route)

    def note(self) -> None:
        """Its line in the log."""
        if self.route not in _QUIET:
            log.info(
                "request",
                method=self.scope["method"],
                route=self.route,
                status=self.status,
                ms=round((time.monotonic() - self._started) * 1000, 1),
            )


def _has_body(scope: Scope) -> bool:
    return any(
        name == b"transfer-encoding" or (name == b"content-length" and value != b"0")
        for name, value in scope["headers"]
    )
