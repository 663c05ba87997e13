"""The API in this process, over a real store, with an account's keys at hand."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import msgspec
import pytest
from starlette.testclient import TestClient

from api.main import create_app
from app.accounts.api_keys import Scope, create_api_key
from app.db import Store
from tests.fakes.engine import Engine

#: For what is refused before the store is asked: once is enough.
on_sqlite = pytest.mark.parametrize("store_url", ["sqlite"], indirect=True)


class Api:
    """A client with the key of an account's admin, and the engine behind the API."""

    def __init__(self, client: TestClient, engine: Engine) -> None:
        self.client = client
        self.engine = engine
        self.admin_key = self.new_key(Scope.ADMIN)

    def new_key(self, *scopes: Scope, account_id: str | None = None) -> str:
        """Another API key, of the engine's account unless told."""
        with self.engine.store.transaction() as tx:
            made = create_api_key(tx, account_id or self.engine.account_id, "test", scopes)
        return made.value.reveal()

    def stranger_key(self) -> str:
        """The key of another account's admin."""
        return self.new_key(Scope.ADMIN, account_id=self.engine.new_account())

    def call(
        self, method: str, path: str, *, key: str | None = "", headers: Any = None, **options: Any
    ) -> httpx2.Response:
        """A request; with the admin's key unless told, or with none at all."""
        given = httpx2.Headers(headers)
        if key is not None:
            given["authorization"] = f"Bearer {key or self.admin_key}"
        return self.client.request(method, path, headers=given, **options)

    def get(self, path: str, **options: Any) -> httpx2.Response:
        """GET."""
        return self.call("GET", path, **options)

    def post(self, path: str, **options: Any) -> httpx2.Response:
        """POST."""
        return self.call("POST", path, **options)

    def submit(self, *prompts: str, **fields: Any) -> dict[str, Any]:
        """A batch of these prompts, accepted; as the API shows it."""
        answer = self.post("/v1/batches", json=submission(*prompts, **fields))
        assert answer.status_code == 201, answer.text
        return answer.json()

    def finished(self, *prompts: str, **fields: Any) -> dict[str, Any]:
        """A batch of these prompts that has run to its end."""
        batch = self.submit(*prompts, **fields)
        self.engine.drain()
        return self.get(f"/v1/batches/{batch['id']}").json()

    def send(self, body: bytes, **options: Any) -> httpx2.Response:
        """Submit exactly these bytes."""
        return self.post("/v1/batches", content=body, **options)


def submission(*prompts: str, **fields: Any) -> dict[str, Any]:
    """What is sent to submit prompts to the simulator."""
    jobs = [{"custom_id": f"q{n}", "prompt": text} for n, text in enumerate(prompts or ("Why?",))]
    return {"mode": "compare", "models": ["simulated/gold"], "jobs": jobs} | fields


def refused(answer: httpx2.Response, status: int, param: str | None = None) -> str:
    """The words of an error, once it is known to be one, in shape and status."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/json"
    error = msgspec.json.decode(answer.content)["error"]
    assert error.keys() == {"type", "message", "param", "request_id"}
    assert error["request_id"] == answer.headers["x-request-id"]
    if param is not None:
        assert error["param"] == param
    return error["message"]


@pytest.fixture
def engine(store: Store, tmp_path: Path) -> Engine:
    """An engine that trusts loopback, and whose broker is not there."""
    return Engine(
        store,
        tmp_path,
        OVERNIGHT_TRUSTED_HOSTS="127.0.0.0/8",
        REDIS_URL=f"unix://{tmp_path / 'no.sock'}",
    )


@pytest.fixture
def api(engine: Engine) -> Iterator[Api]:
    """The API on that engine's services."""
    with TestClient(create_app(engine.services), follow_redirects=False) as client:
        yield Api(client, engine)


def kept(tmp_path: Path) -> list[str]:
    """The names of all that is in the storage of a test's own."""
    folder = tmp_path / "files"
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []
