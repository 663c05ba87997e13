"""A receiver of webhooks, as a client would have one: it takes what is signed, and nothing else."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from standardwebhooks import Webhook, WebhookVerificationError
from typing_extensions import override

_BYTES_MAX = 64 * 1024
_POLL_S = 0.05


class Receiver:
    """What came, and was found to be signed by the secret."""

    def __init__(self, secret: str) -> None:
        self._webhook = Webhook(secret)
        self.verified: list[dict[str, Any]] = []
        self.refused = 0
        self.url = ""

    def take(self, body: bytes, headers: dict[str, str]) -> HTTPStatus:
        """Verify one delivery; what to answer."""
        try:
            self.verified.append(self._webhook.verify(body, headers))
        except WebhookVerificationError:
            self.refused += 1
            return HTTPStatus.UNAUTHORIZED
        return HTTPStatus.NO_CONTENT

    def wait_for(self, kind: str, batch_id: str, timeout_s: float) -> bool:
        """Whether the event came in time."""
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            if any(
                event["type"] == kind and event["data"]["id"] == batch_id
                for event in tuple(self.verified)
            ):
                return True
            time.sleep(_POLL_S)
        return False


@contextmanager
def receiver(secret: str) -> Iterator[Receiver]:
    """A receiver on a free port of loopback, for the block."""
    made = Receiver(secret)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            """Take a delivery."""
            length = min(int(self.headers.get("content-length", 0)), _BYTES_MAX)
            headers = {name.lower(): value for name, value in self.headers.items()}
            self.send_response(made.take(self.rfile.read(length), headers))
            self.end_headers()

        @override
        def log_message(self, format: str, *args: Any) -> None:
            """Say nothing: the demonstration does."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        made.url = f"http://127.0.0.1:{server.server_port}/webhooks"
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield made
        finally:
            server.shutdown()
            thread.join()
