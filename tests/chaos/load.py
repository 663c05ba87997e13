"""A client that submits batches of every mode, steers some, and tries again what was not answered."""

import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from random import Random
from typing import Any

import httpx

CREDIT, OWN = "openai/gpt-4o-mini", "custom:own/one"
CLOSED = {"completed", "failed", "expired", "cancelled"}
_MODES = ("chat", "chat", "compare", "judge", "blend", "mesh")
_JOBS = (5, 40)
#: Jobs that may be open at a time: enough to have calls in flight whatever dies.
_OPEN_MAX = 240
_TICK_S = 0.3
_TRIES_MAX_S = 180.0


@dataclass
class Load:
    """What was accepted, by the batch's id: how many jobs it has. One thread, until `stop`."""

    client: httpx.Client
    seed: int
    webhook_url: str
    accepted: dict[str, int] = field(default_factory=dict)
    statuses: Counter[int] = field(default_factory=Counter)
    problems: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._random = Random(f"{self.seed} load")
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="load", daemon=True)
        self._number = 0

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """Submit no more; what is under way is still brought to its end."""
        self._stopping.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stopping.wait(_TICK_S):
            try:
                if self.open_jobs() < _OPEN_MAX:
                    self._submit()
                    self._steer()
            except (httpx.HTTPError, KeyError, ValueError):
                continue  # whoever answers this was just killed
            except Exception as error:  # noqa: BLE001 - told at the end, by the verdict
                self.problems.append(f"load: {error!r}")

    def open_jobs(self) -> int:
        """How many of the newest batches' jobs are open."""
        answer = self._ask("GET", "/v1/batches", params={"limit": 100})
        return sum(
            one["counts"]["jobs"]["queued"] + one["counts"]["jobs"]["running"]
            for one in answer.json()["data"]
            if one["state"] not in CLOSED
        )

    def _submit(self) -> None:
        """As a careful client does: the same key until there is an answer."""
        self._number += 1
        number, jobs = self._number, self._random.randint(*_JOBS)
        body = _body(self._random, number, jobs) | {"webhook": {"url": self.webhook_url}}
        headers = {"Idempotency-Key": f"chaos-{self.seed}-{number}"}
        until = time.monotonic() + _TRIES_MAX_S
        while time.monotonic() < until:
            try:
                answer = self._ask("POST", "/v1/batches", json=body, headers=headers)
            except httpx.HTTPError:
                time.sleep(_TICK_S)
                continue
            if answer.is_success:
                self.accepted[answer.json()["id"]] = jobs
                return
            if answer.status_code < 500:
                self.problems.append(f"a batch was refused: {answer.text[:300]}")
                return
            time.sleep(_TICK_S)
        self.problems.append("a batch was never answered")

    def _steer(self) -> None:
        dice = self._random.random()
        batch_id = self._random.choice(list(self.accepted))
        if dice < 0.06:
            self._ask("POST", f"/v1/batches/{batch_id}/cancel")
        elif dice < 0.2:
            self._ask("POST", f"/v1/batches/{batch_id}/pause")
            self._ask("POST", f"/v1/batches/{batch_id}/resume")

    def resume_all(self) -> None:
        """Nobody may be left paused because a `resume` was not heard."""
        for batch_id in self.accepted:
            self._ask("POST", f"/v1/batches/{batch_id}/resume")

    def _ask(self, method: str, path: str, **options: Any) -> httpx.Response:
        answer = self.client.request(method, path, **options)
        self.statuses[answer.status_code] += 1
        return answer


def _body(random: Random, number: int, jobs: int) -> dict[str, Any]:
    mode = random.choice(_MODES)
    models = {
        "chat": [random.choice([CREDIT, OWN])],
        "mesh": [OWN],
        "judge": [CREDIT, OWN],
        "compare": [CREDIT, OWN],
        "blend": [CREDIT, OWN],
    }[mode]
    body: dict[str, Any] = {
        "mode": mode,
        "models": models,
        "params": {"max_tokens": 200},
        "jobs": [
            {"custom_id": f"c{n}", "prompt": f"batch {number}, job {n}?"} for n in range(jobs)
        ],
        "deadline": "2h",
        "at_most_once": mode == "chat" and random.random() < 0.2,
    }
    if mode == "judge":
        body["judge"] = {"judges": ["simulated/judge"]}
    elif mode == "blend":
        body["blend"] = {"synthesizer": CREDIT, "min_candidates": 1}
    elif mode == "mesh":
        body["mesh"] = {"fallback": [CREDIT]}
    return body
