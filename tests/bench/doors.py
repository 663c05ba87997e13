"""Ingest as a client sees it: a file uploaded over HTTP and submitted, until it is durable."""

import socket
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

import httpx
import psutil

from app.accounts.api_keys import Scope, create_api_key
from app.settings import child_environment
from tests.bench.bars import API_RSS_MB_AT_MOST, INGEST_AT_MOST, Bar, note
from tests.bench.harness import MODEL, Servers, System, system
from tests.bench.meters import median, rss_max_bytes
from tests.bench.plain import commit_ms, floor_s
from tests.bench.prompts import lines_of
from tests.servers import Child, ServerError

INGEST_LINES = 50_000
OURS = "ours"
_TIMEOUT_S = 120.0


@dataclass(frozen=True, slots=True)
class _Door:
    """A running API, and a client with an account's key."""

    process: Child
    client: httpx.Client


@contextmanager
def _door(ours: System, account_id: str) -> Iterator[_Door]:
    """The API of a system, as a process of its own."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with ours.services.store.transaction() as tx:
        key = create_api_key(tx, account_id, "bench", list(Scope))
    environment = {**ours.environment, "OVERNIGHT_PORT": str(port)}
    with ExitStack() as stack:
        process = Child(
            [sys.executable, "-m", "api.cli", "api"],
            log=ours.directory / "api.log",
            env=child_environment(**environment),
        )
        stack.callback(process.stop)
        client = stack.enter_context(
            httpx.Client(
                base_url=f"http://127.0.0.1:{port}",
                headers={"authorization": f"Bearer {key.value.reveal()}"},
                timeout=_TIMEOUT_S,
                trust_env=False,
            )
        )
        process.wait_until(lambda: _answers(client))
        yield _Door(process, client)


def _answers(client: httpx.Client) -> bool:
    try:
        return client.get("/healthz").is_success
    except httpx.TransportError:
        return False


def _submit(door: _Door, file: bytes) -> None:
    """Upload and submit.

    Raises:
        ServerError: the API refused it.
    """
    uploaded = door.client.post("/v1/files", files={"file": ("lines.jsonl", file)})
    if uploaded.is_success:
        body = {"mode": "compare", "models": [MODEL], "input_file_id": uploaded.json()["id"]}
        submitted = door.client.post("/v1/batches", json=body)
        if submitted.is_success:
            return
        uploaded = submitted
    raise ServerError(f"the API answered {uploaded.status_code}: {uploaded.text[:500]}")


def measure_ingest(kind: str, servers: Servers, rounds: int) -> Iterator[Bar]:
    """From the first byte of an upload to a durable batch, beside decoding and copying alone."""
    lines = list(lines_of(INGEST_LINES))
    file = b"".join(lines)
    ours_s, floors_s = [], []
    with system(kind, servers, workers=0) as ours:
        note(f"{kind}, a one-row commit", ms=round(commit_ms(ours), 3))
        account_id = ours.new_account(OURS)
        with _door(ours, account_id) as door:
            _submit(door, b"".join(lines[:100]))
            before = psutil.Process(door.process.pid).memory_info().rss
            for _ in range(rounds):
                floors_s.append(floor_s(ours, lines))
                began = time.perf_counter()
                _submit(door, file)
                ours_s.append(time.perf_counter() - began)
            grown_mb = (rss_max_bytes(door.process.pid) - before) / 2**20
    note(f"{kind}, ingest of {INGEST_LINES}", ours_s=ours_s, floor_s=floors_s, grown_mb=grown_mb)
    ratios = [took / floor for took, floor in zip(ours_s, floors_s, strict=True)]
    yield Bar(f"ingest_{INGEST_LINES}_{kind}", median(ratios), at_most=INGEST_AT_MOST)
    yield Bar(f"ingest_api_rss_mb_{kind}", grown_mb, at_most=API_RSS_MB_AT_MOST)
