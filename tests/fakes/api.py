"""An API that is only pretended, for what talks to one."""

import json
from typing import Any

import httpx


class FakeApi:
    """Answers by method and path, and keeps a journal of what it was asked."""

    def __init__(self) -> None:
        self.journal: list[httpx.Request] = []
        self._answers: dict[str, list[httpx.Response | Exception]] = {}

    def answer(self, route: str, *answers: Any, status: int = 200) -> None:
        """What to answer `GET /v1/…` with, one after the other; the last again and again."""
        self._answers[route] = [
            one if isinstance(one, httpx.Response | Exception) else httpx.Response(status, json=one)
            for one in answers
        ]

    def refuse(self, route: str, status: int, message: str) -> None:
        """Answer with an error."""
        error = {"type": "any", "message": message, "param": None, "request_id": "req_1"}
        self.answer(route, {"error": error}, status=status)

    def handle(self, request: httpx.Request) -> httpx.Response:
        """Take one request."""
        request.read()
        self.journal.append(request)
        answers = self._answers[f"{request.method} {request.url.path}"]
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer

    def body(self, index: int = -1) -> Any:
        """The body of a request it got."""
        return json.loads(self.journal[index].content)


def batch_view(**changes: Any) -> dict[str, Any]:
    """A batch as the API shows it."""
    jobs = {
        "total": 4,
        "queued": 0,
        "running": 0,
        "succeeded": 4,
        "failed": 0,
        "cancelled": 0,
        "expired": 0,
    }
    view = {
        "id": "batch_1",
        "name": None,
        "mode": "compare",
        "state": "completed",
        "paused": False,
        "waiting_on": None,
        "ending": None,
        "counts": {"jobs": jobs | changes.pop("jobs", {}), "calls": {"total": 8, "closed": 8}},
        "cost": {"spent_nanos": 12_500_000, "unpriced_calls": 0},
        "eta_s": None,
        "created_at": "2026-11-23T17:00:00Z",
    }
    return view | changes
