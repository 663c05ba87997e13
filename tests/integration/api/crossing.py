"""Every operation that the API describes, and how the things that its paths name are made."""

import re
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from sqlmodel import select

from api.main import create_app
from app.domain.ids import Prefix, job_id, new_id
from app.models import Job, Purge
from tests.integration.api.conftest import Api, submission

#: What stands in a path and names no single thing of an account's.
WORDS = {"model": "simulated/gold", "provider": "openai"}
_OPENAI_HOOK = "/openai/v1/webhook_endpoints/{endpoint_id}"
_FORM: dict[str, Any] = {"files": {"file": ("x.jsonl", b'{"prompt": "a"}')}}
#: Bodies that get past the door, so that it is the id that is refused.
BODIES: dict[tuple[str, str], dict[str, Any]] = {
    ("POST", "/v1/files"): _FORM,
    ("POST", "/openai/v1/files"): _FORM | {"data": {"purpose": "batch"}},
    ("POST", "/v1/batches"): {"json": submission()},
    ("POST", "/v1/batches/estimate"): {"json": submission()},
    ("POST", "/v1/api-keys"): {"json": {"name": "made", "scopes": ["read"]}},
    ("POST", "/v1/webhooks"): {"json": {"url": "http://127.0.0.1:9/hook"}},
    ("PATCH", "/v1/webhooks/{endpoint_id}"): {"json": {"name": "renamed"}},
    ("POST", "/v1/webhooks/{endpoint_id}/rotate"): {"json": {}},
    ("POST", "/v1/webhooks/{endpoint_id}/test"): {"json": {}},
    ("POST", "/v1/webhooks/{endpoint_id}/replay"): {"json": {"from": "2026-01-01T00:00:00Z"}},
    ("POST", _OPENAI_HOOK): {"json": {"name": "renamed"}},
    ("POST", f"{_OPENAI_HOOK}/rotate_secret"): {"json": {}},
    ("POST", f"{_OPENAI_HOOK}/test"): {"json": {"event_type": "batch.completed"}},
    ("PUT", "/v1/settings/privacy"): {"json": {}},
    ("PUT", "/v1/settings/prices"): {"json": {"prices": []}},
    ("PUT", "/v1/settings/keys/{provider}"): {"json": {"api_key": "sk-0123456789abcdef"}},
}


class Route(NamedTuple):
    """One operation that the description has."""

    method: str
    path: str
    scope: str

    @property
    def names(self) -> list[str]:
        """What of its path has to be filled in."""
        return re.findall(r"{(\w+)", self.path)

    @property
    def ids(self) -> list[str]:
        """Those that name a thing of an account's."""
        return [name for name in self.names if name not in WORDS]

    @property
    def body(self) -> dict[str, Any]:
        """What to send with it."""
        return BODIES.get((self.method, self.path), {})

    def at(self, ids: dict[str, str]) -> str:
        """Its path with these ids."""
        return re.sub(r"{(\w+)[^}]*}", lambda match: (WORDS | ids)[match[1]], self.path)


def routes() -> Iterator[Route]:
    """Every operation that asks for a key, deletions last, and last of all the account's."""
    found = []
    for path, operations in create_app().openapi()["paths"].items():
        for method, operation in operations.items():
            for security in operation.get("security", ()):
                (scope,) = security["apiKey"]
                found.append(Route(method.upper(), path, scope))
    yield from sorted(found, key=lambda one: (one.method == "DELETE", one.path == "/v1/account"))


def _webhook(api: Api) -> dict[str, str]:
    """An endpoint, and what it was to be told of a batch: nobody listens there."""
    made = api.post("/v1/webhooks", json={"url": "http://127.0.0.1:9/hook"}).json()
    api.finished("a")
    delivery = api.get("/v1/webhooks/deliveries").json()["data"][0]
    return {"endpoint_id": made["id"], "delivery_id": delivery["id"]}


def _batch(api: Api) -> dict[str, str]:
    """A batch that came in through OpenAI's door, which shows no other; ours shows it, too."""
    body = b'{"model":"simulated/gold","messages":[{"role":"user","content":"a"}]}'
    line = b'{"custom_id":"a","method":"POST","url":"/v1/chat/completions","body":%s}' % body
    files = {"file": ("x.jsonl", line)}
    file = api.post("/openai/v1/files", files=files, data={"purpose": "batch"}).json()
    asked = {"input_file_id": file["id"], "endpoint": "/v1/chat/completions"}
    batch = api.post("/openai/v1/batches", json=asked | {"completion_window": "24h"}).json()
    api.engine.drain()
    with api.engine.store.read() as session:
        found = session.exec(select(Job.id).where(Job.batch_id == batch["id"])).one()
    return {"batch_id": batch["id"], "job_id": found}


def _file(api: Api) -> dict[str, str]:
    answer = api.post("/v1/files", files={"file": ("x.jsonl", b'{"prompt": "a"}')})
    return {"file_id": answer.json()["id"]}


def _api_key(api: Api) -> dict[str, str]:
    made = api.post("/v1/api-keys", json={"name": "one", "scopes": ["read"]}).json()
    return {"api_key_id": made["key"]["id"]}


def _purge(api: Api) -> dict[str, str]:
    """The receipt of a purge that is over: one under way would take the rest with it."""
    with api.engine.store.transaction() as tx:
        now = api.engine.store.now(tx)
        made = Purge(
            id=new_id(Prefix.PURGE),
            account_id=api.engine.account_id,
            counts="{}",
            created_at=now,
            finished_at=now,
        )
        tx.add(made)
    return {"purge_id": made.id}


MAKERS: tuple[Callable[[Api], dict[str, str]], ...] = (_webhook, _batch, _file, _api_key, _purge)
PREFIXES = {
    "batch_id": Prefix.BATCH,
    "file_id": Prefix.FILE,
    "api_key_id": Prefix.API_KEY,
    "endpoint_id": Prefix.ENDPOINT,
    "delivery_id": Prefix.DELIVERY,
    "purge_id": Prefix.PURGE,
}


def made_by(api: Api) -> dict[str, str]:
    """The ids of one thing of every kind, all of the API's own account."""
    return {name: id_ for make in MAKERS for name, id_ in make(api).items()}


def never_made() -> dict[str, str]:
    """Ids of the same kinds that nobody has."""
    fresh = {name: new_id(prefix) for name, prefix in PREFIXES.items()}
    return fresh | {"job_id": job_id(fresh["batch_id"], 0)}
