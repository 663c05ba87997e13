"""After a purge nothing of an account can be read in anything a whole installation left behind."""

import time

import httpx

from tests.e2e.system import System
from tests.e2e.test_canary import (
    ANSWER,
    KEY,
    PROMPT,
    PROVIDER,
    bytes_of_broker,
    bytes_of_files,
    rows_of_store,
    set_key,
)
from tests.fakes.provider import FakeProvider, answer
from tests.fakes.webhooks import FakeReceiver
from tests.servers import wait_for

CANARIES = (KEY, PROMPT, ANSWER)


def fill(system: System, provider: FakeProvider, receiver: FakeReceiver) -> str:
    """A batch of a file, with a key and a webhook, that has run."""
    set_key(system, provider)
    line = f'{{"custom_id": "{PROMPT}", "prompt": "{PROMPT}"}}\n'.encode()
    stored = system.client.post("/v1/files", files={"file": ("in.jsonl", line)})
    assert stored.status_code == 201, stored.text
    batch_id = system.submit(
        0,
        name=PROMPT,
        mode="chat",
        models=[f"{PROVIDER}/model"],
        params={},
        jobs=None,
        input_file_id=stored.json()["id"],
        webhook={"url": f"{receiver.url}/{PROMPT}"},
    )
    system.wait_closed(batch_id)
    receiver.wait_for(1)
    assert ANSWER in system.client.get(f"/v1/batches/{batch_id}/results").text
    return batch_id


def wait_purged(system: System, purge: httpx.Response) -> dict[str, int]:
    """The receipt, once there is one."""
    assert purge.status_code == 202, purge.text
    path, deadline = f"/v1/account/purges/{purge.json()['id']}", time.monotonic() + 60
    while (shown := system.client.get(path).json())["finished_at"] is None:
        assert time.monotonic() < deadline, system.logs()
        time.sleep(0.1)
    counts: dict[str, int] = shown["counts"]
    return counts


def files_with_canaries(system: System) -> list[str]:
    """Names of files, SQLite's and its log among them, in which one can be read."""
    return [
        name
        for name, data in bytes_of_files(system.directory)
        if any(canary.encode() in data for canary in CANARIES)
    ]


def test_k9_after_a_purge_nothing_is_left_in_store_log_files_and_broker(system: System) -> None:
    with FakeProvider() as provider, FakeReceiver() as receiver:
        provider.reply_with(*[answer(ANSWER)] * 3)
        batch_id = fill(system, provider, receiver)
    assert any(PROMPT in text for _, text in rows_of_store(system)), "the search itself works"
    counts = wait_purged(system, system.client.post("/v1/account/purge"))
    assert {"batches": 1, "jobs": 1, "prompt": 1, "answer": 1, "files": 1}.items() <= counts.items()
    rows = [name for name, text in rows_of_store(system) if any(one in text for one in CANARIES)]
    assert rows == []
    assert not any(canary.encode() in bytes_of_broker(system) for canary in CANARIES)
    assert wait_for(lambda: not files_with_canaries(system), timeout_s=60), files_with_canaries(
        system
    )
    assert system.client.get(f"/v1/batches/{batch_id}").status_code == 404
    system.check_laws()


def test_k1_of_a_batch_that_retains_nothing_nothing_was_ever_plain(system: System) -> None:
    privacy = system.client.put("/v1/settings/privacy", json={"retention": "none"})
    assert privacy.status_code == 200, privacy.text
    with FakeProvider() as provider, FakeReceiver() as receiver:
        provider.reply_with(*[answer(ANSWER)] * 3)
        set_key(system, provider)
        line = f'{{"custom_id": "c1", "prompt": "{PROMPT}"}}\n'.encode()
        stored = system.client.post("/v1/files", files={"file": ("in.jsonl", line)}).json()
        batch_id = system.submit(
            0,
            mode="chat",
            models=[f"{PROVIDER}/model"],
            params={},
            jobs=None,
            input_file_id=stored["id"],
            webhook={"url": receiver.url},
        )
        system.wait_closed(batch_id)
        receiver.wait_for(1)
        told = b"\n".join(seen.body for seen in receiver.journal)
    assert ANSWER in system.client.get(f"/v1/batches/{batch_id}/results").text
    texts = (PROMPT, ANSWER)
    assert [name for name, text in rows_of_store(system) if any(t in text for t in texts)] == []
    assert files_with_canaries(system) == []
    assert not any(text.encode() in told + bytes_of_broker(system) for text in texts)
    assert system.client.post(f"/v1/batches/{batch_id}/results/ack").status_code == 204
    for path in ("results", "report", "results?format=csv"):
        assert system.client.get(f"/v1/batches/{batch_id}/{path}").status_code == 410
