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
        client.get("/v1/settings/keys"),
        client.get("/v1/models"),
    ]
    assert all(answered.status_code < 500 for answered in answers)
    return "\n".join(answered.text for answered in answers)


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
    system.wait_closed(crashing)
    provider.reply_with(problem(401, message=f"Incorrect API key provided: {KEY}"))
    refused = run_batch(system, provider, receiver.url, "refused")
    system.wait(refused, lambda shown: bool(shown["waiting_on"]), 30)
    views = [system.client.get(f"/v1/batches/{id_}").text for id_ in (batch_id, refused)]
    return [*views, system.client.get(f"/v1/batches/{batch_id}/results").text]


def check_nothing_kept(system: System) -> None:
    """Search every byte that was left behind."""
    broker = bytes_of_broker(system)
    assert KEY.encode() not in broker
    assert PROMPT.encode() not in broker
    rows = list(rows_of_store(system))
    assert any(PROMPT in text for _, text in rows), "the search itself must be able to find"
    assert [name for name, text in rows if KEY in text] == []
    files = list(bytes_of_files(system.directory))
    assert [name for name, data in files if KEY.encode() in data] == []
    assert [name for name, data in files if ".log" in name and PROMPT.encode() in data] == []


def test_k1_a_provider_key_is_found_nowhere_after_success_401_429_time_out_and_crash(
    system: System, provider: FakeProvider
) -> None:
    system.kill9("worker")
    limits = {"ATTEMPT_TIMEOUT_S": "3", "LOG_LEVEL": "DEBUG", "ATTEMPTS_MAX": "2"}
    system.env.update({f"OVERNIGHT_{name}": value for name, value in limits.items()})
    system.start("worker")
    set_key(system, provider)
    errors = error_bodies(system)
    with FakeReceiver() as receiver:
        views = sing(system, provider, receiver)
        told = b"\n".join(seen.body for seen in receiver.journal)
    assert any(seen.authorization_sha256 for seen in provider.journal)
    assert ANSWER in views[-1]
    assert KEY not in errors
    assert all(KEY not in view for view in views)
    assert KEY.encode() not in told
    assert PROMPT.encode() not in told
    check_nothing_kept(system)
