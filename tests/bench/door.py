"""OpenAI's door, through the API's own process: one question at a time, and large files."""

import json
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import openai
import psutil

from app.accounts.api_keys import Scope, create_api_key
from app.settings import child_environment
from tests.bench.bars import (
    API_RSS_MB_AT_MOST,
    INGEST_AT_MOST,
    SYNC_MS_AT_MOST,
    Bar,
    note,
)
from tests.bench.harness import MODEL, Servers, System, system
from tests.bench.meters import median, rss_max_bytes
from tests.bench.plain import commit_ms, floor_s
from tests.bench.prompts import lines_of
from tests.bench.provider import LATENCY_S
from tests.servers import Child, ServerError

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
    """Questions on an idle system: an answer's time beyond what its provider took."""
    took_ms = []
    with system(kind, servers) as ours, api_of(ours, ours.new_account("door")) as (_, url, key):
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
    yield Bar(f"sync_ms_{kind}", median(took_ms), at_most=SYNC_MS_AT_MOST, details={**seen})


def measure_ingest(kind: str, servers: Servers, rounds: int) -> Iterator[Bar]:
    """From the first byte of an upload to a durable batch, beside decoding and copying alone."""
    file = b"".join(_asked_line(number, line) for number, line in enumerate(lines_of(LINES)))
    seen: dict[str, list[float]] = {"floor_s": [], "upload_s": [], "create_s": []}
    with system(kind, servers, workers=0) as ours:
        note(f"{kind}, a one-row commit", ms=round(commit_ms(ours), 3))
        with api_of(ours, ours.new_account("door")) as (api, url, key):
            client = openai.OpenAI(base_url=f"{url}/openai/v1", api_key=key, max_retries=0)
            _submit(client, file[: file.index(b"\n")])
            before = psutil.Process(api.pid).memory_info().rss
            for _ in range(rounds):
                took = (floor_s(ours, file), *_submit(client, file))
                for name, seconds in zip(seen, took, strict=True):
                    seen[name].append(round(seconds, 3))
            grown_mb = (rss_max_bytes(api.pid) - before) / _MB
    note(f"{kind}, ingest of {LINES}", **seen, grown_mb=round(grown_mb, 1))
    ratios = [(up + made) / floor for floor, up, made in zip(*seen.values(), strict=True)]
    bar = f"ingest_{LINES}_{kind}"
    yield Bar(bar, median(ratios), at_most=INGEST_AT_MOST, details={**seen})
    yield Bar(f"ingest_api_rss_mb_{kind}", grown_mb, at_most=API_RSS_MB_AT_MOST)


def _submit(client: openai.OpenAI, content: bytes) -> tuple[float, float]:
    """Upload a file and make a batch of it, as anybody does; the seconds of each."""
    began = time.perf_counter()
    file = client.files.create(file=("in.jsonl", content), purpose="batch")
    uploaded = time.perf_counter()
    batch = client.batches.create(
        input_file_id=file.id, endpoint="/v1/chat/completions", completion_window="24h"
    )
    done = time.perf_counter()
    if batch.status == "failed":
        raise ServerError(f"the batch was refused: {batch.errors}")
    return uploaded - began, done - uploaded


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
