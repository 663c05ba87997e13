"""A provider that drops and garbles answers, and a receiver that does not always take what comes.

How each request is treated follows from the seed, its text and how often it came before. Both
keep the journal that the history is checked against.
"""

import asyncio
from collections import Counter
from dataclasses import dataclass, field
from random import Random
from typing import Any

from tests.fakes.http import FakeServer, Reply, Seen, respond
from tests.fakes.provider import answer_body, drop, problem, raw
from tests.fakes.webhooks import FakeReceiver

#: Longer than the time an attempt is given.
HANG_S = 14.0
_LATENCY_S = (0.05, 1.2)
_GARBAGE = b"HTTP/1.1 200 OK\r\ncontent-length: 24\r\n\r\n<html>Bad gateway</html>"
_HALF = b'HTTP/1.1 200 OK\r\ncontent-length: 4000\r\n\r\n{"id": "chatcmpl-'
#: Out of a thousand requests.
_MISBEHAVIOUR = (
    ("drop", 25),
    ("half", 15),
    ("garbage", 15),
    ("error", 15),
    ("limit", 5),
    ("hang", 4),
)


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer that was written to the socket, with what it said was used."""

    lane: str
    model: str
    text: str
    input_tokens: int
    output_tokens: int


@dataclass
class Journal:
    """What the provider remembers: every request that came whole, and every good answer."""

    came: Counter[tuple[str, str]] = field(default_factory=Counter)
    answers: list[Answer] = field(default_factory=list)

    def requests(self, lane: str) -> int:
        """How many requests came in under a lane."""
        return sum(count for (name, _), count in self.came.items() if name == lane)


class ChaosProvider(FakeServer):
    """OpenAI-compatible, in its way; `/<lane>/v1` is its base URL."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        self.seed = seed
        self.default = self._reply
        self.history = Journal()

    def url(self, lane: str) -> str:
        """The base URL of a lane."""
        return f"{self.origin}/{lane}/v1"

    async def _reply(self, writer: asyncio.StreamWriter, seen: Seen) -> None:
        self.journal.clear()
        asked = seen.json
        lane, text = seen.path.split("/")[1], str(asked["messages"][-1]["content"])
        key = (lane, f"{asked['model']} {text}")
        self.history.came[key] += 1
        random = Random(f"{self.seed} {key} {self.history.came[key]}")
        await asyncio.sleep(random.uniform(*_LATENCY_S))
        names = [name for name, _ in _MISBEHAVIOUR]
        weights = [weight for _, weight in _MISBEHAVIOUR]
        manner = random.choices([*names, "good"], [*weights, 1000 - sum(weights)])[0]
        if manner == "good":
            await self._answer(writer, seen, Answer(lane, asked["model"], text, *_tokens(text)))
        elif manner == "hang":
            await asyncio.sleep(HANG_S)
            writer.close()
        else:
            await _BAD[manner](writer, seen)

    async def _answer(self, writer: asyncio.StreamWriter, seen: Seen, answer: Answer) -> None:
        usage = {"prompt_tokens": answer.input_tokens, "completion_tokens": answer.output_tokens}
        body: dict[str, Any] = answer_body(
            f"echo: {answer.text[:200]}", model=answer.model, usage=usage
        )
        # Noted first: what is written may have been read, whatever becomes of the connection.
        self.history.answers.append(answer)
        await respond(200, body)(writer, seen)


_BAD: dict[str, Reply] = {
    "drop": drop(abort=True),
    "half": drop(after=_HALF),
    "garbage": raw(_GARBAGE),
    "error": problem(500),
    "limit": problem(429, headers={"retry-after": "1"}),
}


def _tokens(text: str) -> tuple[int, int]:
    return max(1, len(text) // 4), max(1, len(text) // 3)


class ChaosReceiver(FakeReceiver):
    """Takes an event at the latest when it comes the second time."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        self.seed = seed
        self.default = self._reply
        self.taken: Counter[str] = Counter()
        self._came: Counter[str] = Counter()

    async def _reply(self, writer: asyncio.StreamWriter, seen: Seen) -> None:
        self.journal.clear()
        event_id = seen.headers["webhook-id"]
        self._came[event_id] += 1
        random = Random(f"{self.seed} {event_id}")
        if self._came[event_id] == 1 and random.random() < 0.1:
            await random.choice([problem(500), drop(abort=True)])(writer, seen)
            return
        self.taken[event_id] += 1
        await respond(200, b"ok")(writer, seen)
