"""A provider key is readable in the process that makes the call, and nowhere else.

Canaries sing in the key and in the prompts; then every byte that any process left behind is
searched for them, on both kinds of store.
"""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
import sqlalchemy as sa
from sqlmodel import select

from app.models import Attempt
from tests.e2e.system import System
from tests.fakes.http import Reply, Seen
from tests.fakes.provider import FakeProvider, answer, drop, hang, problem
from tests.fakes.webhooks import FakeReceiver
from tests.servers import wait_for

KEY = "sk-canary-9f3c7a51d2e84b60"
SECOND_KEY = "sk-canary-0b1d2f3a4c5e6f70"
#: What must have happened to attempts before anything is searched.
ENDS = {429, 500, 400, 401, "dropped", "timeout", "worker_lost"}
PROMPT = "prompt-canary-5e1b8d"
ANSWER = "answer-canary-77aa01"
PROVIDER = "custom:canary"


class Moody:
    """Replies by model: first as the model's mood is, then well.

    So no model fails three times in a row, which would have it left alone for half a minute.
    """

    def __init__(self) -> None:
        quoted = f"Your request with {KEY} and {PROMPT} went wrong."
        self.moods: dict[str, Reply] = {
            "limited": problem(429, message=quoted, headers={"retry-after": "0"}),
            "broken": problem(500, message=quoted),
            "dropping": drop(),
            "refusing": problem(400, message=quoted),
            "hanging": hang(),
        }
        self._left: dict[str, int] = {}

    def again(self, times: int = 1) -> None:
        """Be so once more."""
        self._left = dict.fromkeys(self.moods, times)

    async def __call__(self, writer: asyncio.StreamWriter, seen: Seen) -> None:
        """Reply."""
        model = seen.json.get("model", "") if seen.method == "POST" else ""
        reply = answer(ANSWER)
        if self._left.get(model, 0) > 0:
            self._left[model] -= 1
            reply = self.moods[model]
        await reply(writer, seen)


@pytest.fixture
def moody() -> Moody:
    """How the provider replies."""
    return Moody()


@pytest.fixture
def provider(moody: Moody) -> Iterator[FakeProvider]:
    """A provider that quotes the key it was sent in its errors, as some do."""
    with FakeProvider() as made:
        made.reply_always(moody)
        yield made


def run_batch(system: System, moody: Moody, url: str, name: str) -> str:
    """Every prompt on a model of every mood."""
    return system.submit(
        2,
        name=name,
        mode="compare",
        models=[f"{PROVIDER}/{model}" for model in ("good", *moody.moods)],
        params={},
        jobs=[{"custom_id": f"c{n}", "prompt": f"{PROMPT} {n}"} for n in range(2)],
        webhook={"url": url},
    )


def set_key(system: System, provider: FakeProvider, key: str = KEY) -> None:
    """Set the canary as the provider's key."""
    answered = system.client.put(
        f"/v1/settings/keys/{PROVIDER}", json={"api_key": key, "base_url": provider.url}
    )
    assert answered.is_success, answered.text
    assert key not in answered.text


def error_bodies(system: System) -> str:
    """What the API says to requests that hold the key in the wrong place."""
    client, path = system.client, f"/v1/settings/keys/{PROVIDER}"
    answers = [
        client.put(path, json={"api_key": KEY, "base_ulr": "http://127.0.0.1"}),
        client.put(path, json={"api_key": [KEY]}),
        client.put(path, json={"api_key": f"{KEY}\n{KEY}", "base_url": "http://127.0.0.1:1"}),
        client.put(path, content=f'{{"api_key": "{KEY}'.encode()),
        client.put("/v1/settings/keys/openai", json={"api_key": f"“{KEY}”"}),
        client.post("/v1/batches", json={"mode": "chat", "models": [], "api_key": KEY}),
        client.get("/v1/batches", headers={"Authorization": f"Bearer {KEY}"}),
        client.post("/v1/batches/estimate", json={"mode": "chat", "models": [], "key": KEY}),
        client.post("/v1/files", data={"retention": KEY}, files={"file": ("a.jsonl", b"{}")}),
        client.post("/v1/files", files={"file": (KEY, b"no lines")}),
        client.get("/v1/batches", params={"after": KEY, KEY: "1"}),
        client.get(f"/v1/batches/{KEY}"),
        client.post(f"{path}/check", headers={"Idempotency-Key": KEY}),
    ]
    assert all(answered.status_code < 500 for answered in answers)
    # What the client itself put into a path or a query is only ever its own word.
    return "\n".join(answered.text for answered in answers[:-3])


def shown_elsewhere(system: System, batch_id: str) -> list[str]:
    """Everything that is told of an account, a batch and the process, in every form."""
    client = system.client
    paths = [
        *(f"/v1/batches/{batch_id}/results?format={form}" for form in ("csv", "parquet", "jsonl")),
        f"/v1/batches/{batch_id}/report",
        "/v1/batches",
        "/v1/settings/keys",
        "/v1/models",
        "/v1/usage",
        "/v1/credits",
        "/v1/credits/transactions",
        "/metrics",
        "/readyz",
        "/openapi.json",
    ]
    return [client.get(path).content.decode("latin-1") for path in paths]


def upload_and_estimate(system: System) -> list[str]:
    """A file with the prompt, and what a batch of it would come to."""
    line = f'{{"custom_id": "f1", "prompt": "{PROMPT}"}}\n'.encode()
    stored = system.client.post("/v1/files", files={"file": ("in.jsonl", line)})
    assert stored.status_code == 201, stored.text
    body = {"mode": "chat", "models": [f"{PROVIDER}/model"], "input_file_id": stored.json()["id"]}
    told = system.client.post("/v1/batches/estimate", json=body)
    assert told.is_success, told.text
    return [stored.text, told.text]


def bytes_of_files(directory: Path) -> Iterator[tuple[str, bytes]]:
    """Every file: logs, the store with its write-ahead log, input files."""
    for path in sorted(directory.rglob("*")):
        if path.is_file():
            yield path.name, path.read_bytes()


def bytes_of_broker(system: System) -> bytes:
    """Everything Valkey holds: a dump of its memory, and its slow log."""
    client = redis.Redis.from_url(system.valkey.url)
    client.config_set("slowlog-log-slower-than", 0)
    found = [repr(client.slowlog_get(1000)).encode()]
    found += [client.dump(name) or b"" for name in client.scan_iter()]
    return b"\n".join(found)


def rows_of_store(system: System) -> Iterator[tuple[str, str]]:
    """Every row of every table, as text."""
    tables = sa.MetaData()
    tables.reflect(system.store.engine)
    with system.store.engine.connect() as connection:
        for name, table in tables.tables.items():
            for row in connection.execute(sa.select(table)):
                yield name, repr(tuple(row))


def sing(system: System, provider: FakeProvider, moody: Moody, receiver: FakeReceiver) -> list[str]:
    """Success and every kind of failure; answers what the API shows of it."""
    moody.again()
    batch_id = run_batch(system, moody, receiver.url, "every answer")
    system.wait_closed(batch_id)
    receiver.wait_for(1)
    crashed = crash(system, provider, moody, receiver)
    refused, checked = replace_refused_key(system, provider, moody, receiver)
    assert ends_of_attempts(system) >= ENDS
    views = [system.client.get(f"/v1/batches/{id_}").text for id_ in (batch_id, crashed, refused)]
    results = system.client.get(f"/v1/batches/{batch_id}/results").text
    return [*views, checked, *shown_elsewhere(system, batch_id), results]


def ends_of_attempts(system: System) -> set[str | int | None]:
    """How attempts ended: status codes and reasons."""
    with system.store.read() as session:
        rows = session.exec(select(Attempt.status_code, Attempt.reason)).all()
    return {end for row in rows for end in row}


def crash(system: System, provider: FakeProvider, moody: Moody, receiver: FakeReceiver) -> str:
    """The worker is lost with calls in flight, of which nothing is ever heard."""
    moody.again()
    before = len(provider.journal)
    batch_id = run_batch(system, moody, receiver.url, "crash")
    assert wait_for(lambda: any(asks(seen, "hanging") for seen in provider.journal[before:]))
    system.kill9("worker")
    system.start("worker-2")
    system.wait_closed(batch_id)
    return batch_id


def asks(seen: Seen, model: str) -> bool:
    return seen.method == "POST" and seen.json["model"] == model


def replace_refused_key(
    system: System, provider: FakeProvider, moody: Moody, receiver: FakeReceiver
) -> tuple[str, str]:
    """A key that is refused, and one that may send again in an hour: a new one goes on at once."""
    provider.reply_always(problem(401, message=f"Incorrect API key provided: {KEY}"))
    batch_id = run_batch(system, moody, receiver.url, "refused")
    system.wait(batch_id, lambda shown: bool(shown["waiting_on"]), 30)
    checked = system.client.post(f"/v1/settings/keys/{PROVIDER}/check").text
    provider.reply_always(problem(429, message=KEY, headers={"retry-after": "3600"}))
    set_key(system, provider, SECOND_KEY)
    system.wait(
        batch_id, lambda shown: (shown["waiting_on"] or {}).get("reason") == "rate_limited", 30
    )
    provider.reply_always(moody)
    set_key(system, provider)
    system.wait_closed(batch_id)
    return batch_id, checked


def check_nothing_kept(system: System) -> None:
    """Search every byte that was left behind."""
    broker = bytes_of_broker(system)
    secrets = [KEY, SECOND_KEY, system.api_key, system.master_key]
    assert not any(secret.encode() in broker for secret in secrets)
    assert PROMPT.encode() not in broker
    rows = list(rows_of_store(system))
    assert any(PROMPT in text for _, text in rows), "the search itself must be able to find"
    files = list(bytes_of_files(system.directory))
    for secret in secrets:
        assert [name for name, text in rows if secret in text] == []
        assert [name for name, data in files if secret.encode() in data] == []
    for text in (PROMPT, ANSWER):
        assert [name for name, data in files if ".log" in name and text.encode() in data] == []


def test_k1_a_provider_key_is_found_nowhere_after_success_401_429_time_out_and_crash(
    system: System, provider: FakeProvider, moody: Moody
) -> None:
    system.kill9("worker")
    limits = {"ATTEMPT_TIMEOUT_S": "3", "LOG_LEVEL": "DEBUG", "ATTEMPTS_MAX": "2"}
    system.env.update({f"OVERNIGHT_{name}": value for name, value in limits.items()})
    system.start("worker")
    set_key(system, provider)
    errors = error_bodies(system)
    told_of_files = upload_and_estimate(system)
    with FakeReceiver() as receiver:
        views = sing(system, provider, moody, receiver)
        told = b"\n".join(seen.body for seen in receiver.journal)
    assert any(seen.authorization_sha256 for seen in provider.journal)
    assert ANSWER in views[-1]
    assert KEY not in errors
    assert all(KEY not in view for view in [*views, *told_of_files])
    assert all(PROMPT not in view for view in told_of_files)
    assert not any(text.encode() in told for text in (KEY, PROMPT, ANSWER))
    check_nothing_kept(system)
