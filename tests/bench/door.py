"""OpenAI's door, through the API's own process: one question at a time, and one large file."""

import json
import socket
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import openai
import psutil

from app.accounts.api_keys import Scope, create_api_key
from app.settings import child_environment
from tests.bench.bars import Bar, note
from tests.bench.harness import MODEL, Servers, System, system
from tests.bench.meters import median, rss_max_bytes
from tests.bench.plain import floor_s
from tests.bench.prompts import lines_of
from tests.bench.provider import LATENCY_S
from tests.servers import Child

#: A question's answer, beyond what the provider took.
SYNC_MS_AT_MOST = 30.0
#: A file through the official client, and a batch of it, beside decoding and copying its lines.
INGEST_AT_MOST = 6.0
RSS_MB_AT_MOST = 64.0
LINES = 50_000
_ASKED = {"model": MODEL, "messages": [{"role": "user", "content": "Why?"}]}
_MB = 1024 * 1024


@contextmanager
def api_of(ours: System, account_id: str) -> Iterator[tuple[Child, str, str]]:
    """The API's process on a system: itself, its URL, and a key."""
    port = _free_port()
    environment = {**ours.environment, "OVERNIGHT_PORT": str(port)}
    child = Child(
        [sys.executable, "-P", "-m", "api.cli", "api"],
        log=ours.directory / "api.log",
        env=child_environment(**environment),
    )
    url = f"http://127.0.0.1:{port}"
    with ours.services.store.transaction() as tx:
        key = create_api_key(tx, account_id, "bench", [Scope.ADMIN]).value.reveal()
    try:
        child.wait_until(lambda: _answers(url), timeout_s=60)
        yield child, url, key
    finally:
        child.stop()


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def _answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/healthz", trust_env=False).is_success
    except httpx.HTTPError:
        return False


def measure_door(kind: str, servers: Servers, asks: int) -> Iterator[Bar]:
    """Questions on an idle system, then a file of 50,000 lines."""
    with system(kind, servers) as ours:
        account_id = ours.new_account("door")
        with api_of(ours, account_id) as (child, url, key):
            yield _questions(kind, url, key, asks)
            yield from _file(ours, child, url, key)


def _questions(kind: str, url: str, key: str, asks: int) -> Bar:
    took_ms = []
    headers = {"Authorization": f"Bearer {key}"}
    with httpx.Client(base_url=url, headers=headers, timeout=60, trust_env=False) as client:
        for number in range(asks + 2):
            began = time.perf_counter()
            answer = client.post("/openai/v1/chat/completions", json=_ASKED)
            answer.raise_for_status()
            if number >= 2:
                took_ms.append((time.perf_counter() - began - LATENCY_S) * 1000)
    seen = {"ms": [round(one, 1) for one in took_ms]}
    note(f"{kind}, a question beyond its provider", **seen)
    return Bar(f"sync_ms_{kind}", median(took_ms), at_most=SYNC_MS_AT_MOST, details={**seen})


def _file(ours: System, child: Child, url: str, key: str) -> Iterator[Bar]:
    lines = list(lines_of(LINES))
    floor = floor_s(ours, lines)
    client = openai.OpenAI(base_url=f"{url}/openai/v1", api_key=key, max_retries=0)
    before = psutil.Process(child.pid).memory_info().rss
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "in.jsonl"
        path.write_bytes(b"".join(_asked_line(number, line) for number, line in enumerate(lines)))
        began = time.perf_counter()
        file = client.files.create(file=path, purpose="batch")
        uploaded = time.perf_counter()
        batch = client.batches.create(
            input_file_id=file.id, endpoint="/v1/chat/completions", completion_window="24h"
        )
        done = time.perf_counter()
    client.batches.cancel(batch.id)
    seen = {"upload_s": uploaded - began, "create_s": done - uploaded, "floor_s": floor}
    note(f"{ours.kind}, {LINES} lines through the door", **seen)
    name = f"door_ingest_{LINES}_{ours.kind}"
    yield Bar(name, (done - began) / floor, at_most=INGEST_AT_MOST, details={**seen})
    grown = (rss_max_bytes(child.pid) - before) / _MB
    yield Bar(f"door_rss_mb_{ours.kind}", grown, at_most=RSS_MB_AT_MOST)


def _asked_line(number: int, line: bytes) -> bytes:
    """The same prompt as a line of OpenAI's."""
    prompt = json.loads(line)
    messages = prompt.get("messages") or [{"role": "user", "content": prompt["prompt"]}]
    asked = {
        "custom_id": f"c{number}",
        "method": "POST",
        "url": "/v1/chat/completions",
        "body": {"model": MODEL, "messages": messages, "max_tokens": 64},
    }
    return json.dumps(asked).encode() + b"\n"
