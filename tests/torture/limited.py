"""A provider that enforces its limits by the real clock, for real worker processes."""

import asyncio
import os
import time

from tests.fakes.http import FakeServer, Seen, respond
from tests.fakes.provider import answer_body, problem
from tests.fakes.windows import Limits

LATENCY_S = 0.2
TOKENS = 46


class LimitedProvider(FakeServer):
    """`with LimitedProvider(limits) as provider:`; every account sends to the same limits."""

    def __init__(self, limits: Limits) -> None:
        super().__init__(default=self._reply)
        self._limits = limits
        self.taken: list[float] = []
        self.refused: list[float] = []

    @property
    def pid(self) -> int:
        """Its process: this one."""
        return os.getpid()

    def base_url(self, name: str) -> str:
        """What an account of that name sets."""
        return f"{self.origin}/{name}/v1"

    async def _reply(self, writer: asyncio.StreamWriter, seen: Seen) -> None:
        now = time.monotonic()
        taken, headers = self._limits.ask(now, TOKENS)
        (self.taken if taken else self.refused).append(now)
        self.journal.clear()  # it would grow all night
        if taken:
            await respond(200, answer_body(), headers, delay_s=LATENCY_S)(writer, seen)
        else:
            await problem(429, "rate_limit_exceeded", headers=headers)(writer, seen)

    def shares(self, rpm: float, since: float, until: float) -> tuple[float, float]:
        """The part of requests that was refused in that time, and of the limit that was used."""
        taken = sum(since <= at < until for at in self.taken)
        refused = sum(since <= at < until for at in self.refused)
        return refused / max(1, taken + refused), taken / (rpm * (until - since) / 60)
