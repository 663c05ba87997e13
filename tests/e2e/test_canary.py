"""A provider key is readable in the process that makes the call, and nowhere else.

Canaries sing in the key and in the prompts; then every byte that any process left behind is
searched for them, on both kinds of store.
"""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
import sqlalchemy as sa

from tests.e2e.system import System
from tests.fakes.provider import FakeProvider, answer, drop, hang, problem
from tests.fakes.webhooks import FakeReceiver

KEY = "sk-canary-9f3c7a51d2e84b60"
PROMPT = "prompt-canary-5e1b8d"
ANSWER = "answer-canary-77aa01"
PROVIDER = "custom:canary"


@pytest.fixture
def provider() -> Iterator[FakeProvider]:
    """A provider that quotes the key it was sent in its errors, as some do."""
    with FakeProvider() as made:
        yield made


def run_batch(system: System, provider: FakeProvider, url: str, name: str) -> str:
    """Success, 429, 500, a dropped connection, and an answer nobody can read."""
    quoted = f"Your request with {KEY} and {PROMPT} went wrong."
    provider.reply_with(
        answer(ANSWER),
        problem(429, message=quoted, headers={"retry-after": "0"}),
        problem(500, message=quoted),
        drop(),
        problem(400, message=quoted),
    )
    return system.submit(
        8,
        name=name,
        mode="chat",
        models=[f"{PROVIDER}/model"],
        params={},
        jobs=[{"custom_id": f"c{n}", "prompt": f"{PROMPT} {n}"} for n in range(8)],
        webhook={"url": url},
    )


def set_key(system: System, provider: FakeProvider) -> None:
    """Set the canary as the provider's key."""
    answered = system.client.put(
        f"/v1/settings/keys/{PROVIDER}", json={"api_key": KEY, "base_url": provider.url}
    )
    assert answered.is_success, answered.text
    assert KEY not in answered.text


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


def sing(system: System, provider: FakeProvider, receiver: FakeReceiver) -> list[str]:
    """Success and every kind of failure; answers what the API shows of it."""
    batch_id = run_batch(system, provider, receiver.url, "every answer")
    system.wait_closed(batch_id)
    receiver.wait_for(1)
    # Time-outs, and a crash of the worker with calls in flight.
    provider.reply_with(hang(), hang())
    crashing = run_batch(system, provider, receiver.url, "crash")
    time.sleep(1)
    system.kill9("worker")
    system.start("worker-2")
    # The hangs opened the breaker, which lets one call at a time try whether it is over.
    system.wait_closed(crashing, within_s=240)
    provider.reply_with(problem(401, message=f"Incorrect API key provided: {KEY}"))
    refused = run_batch(system, provider, receiver.url, "refused")
    system.wait(refused, lambda shown: bool(shown["waiting_on"]), 30)
    checked = system.client.post(f"/v1/settings/keys/{PROVIDER}/check").text
    views = [system.client.get(f"/v1/batches/{id_}").text for id_ in (batch_id, refused)]
    results = system.client.get(f"/v1/batches/{batch_id}/results").text
    return [*views, checked, *shown_elsewhere(system, batch_id), results]


def check_nothing_kept(system: System) -> None:
    """Search every byte that was left behind."""
    broker = bytes_of_broker(system)
    secrets = [KEY, system.api_key, system.master_key]
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
    system: System, provider: FakeProvider
) -> None:
    system.kill9("worker")
    limits = {"ATTEMPT_TIMEOUT_S": "3", "LOG_LEVEL": "DEBUG", "ATTEMPTS_MAX": "2"}
    system.env.update({f"OVERNIGHT_{name}": value for name, value in limits.items()})
    system.start("worker")
    set_key(system, provider)
    errors = error_bodies(system)
    told_of_files = upload_and_estimate(system)
    with FakeReceiver() as receiver:
        views = sing(system, provider, receiver)
        told = b"\n".join(seen.body for seen in receiver.journal)
    assert any(seen.authorization_sha256 for seen in provider.journal)
    assert ANSWER in views[-1]
    assert KEY not in errors
    assert all(KEY not in view for view in [*views, *told_of_files])
    assert all(PROMPT not in view for view in told_of_files)
    assert not any(text.encode() in told for text in (KEY, PROMPT, ANSWER))
    check_nothing_kept(system)
