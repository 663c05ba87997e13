"""A receiver of webhooks on loopback, with a journal of the exact bytes it was sent.

with FakeReceiver(statuses=[500, 500]) as receiver:   # then 200
    ...
    first = receiver.journal[0]
    Webhook(secret).verify(first.body, dict(first.headers))
"""

import time
from collections.abc import Iterable
from typing import Any

from tests.fakes.http import FakeServer, Seen, respond

POLL_S = 0.02


class FakeReceiver(FakeServer):
    """Answers with these statuses in turn, and with 200 when they are used up."""

    def __init__(self, statuses: Iterable[int] = (), **options: Any) -> None:
        super().__init__(default=respond(200, b"ok"), **options)
        self.reply_with(*(respond(status) for status in statuses))

    @property
    def url(self) -> str:
        """Where to send webhooks."""
        return f"{self.origin}/hook"

    def wait_for(self, count: int, within_s: float = 10.0) -> list[Seen]:
        """The first `count` deliveries, as soon as so many have come."""
        end = time.monotonic() + within_s
        while len(self.journal) < count:
            if time.monotonic() > end:
                raise AssertionError(f"{len(self.journal)} of {count} webhooks in {within_s} s")
            time.sleep(POLL_S)
        return self.journal[:count]
