"""Ingest as a client sees it: a file uploaded over HTTP and submitted, until it is durable."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import psutil

from tests.bench.bars import API_RSS_MB_AT_MOST, INGEST_AT_MOST, Bar, note
from tests.bench.door import api_of
from tests.bench.harness import MODEL, Servers, system
from tests.bench.meters import median, rss_max_bytes
from tests.bench.plain import commit_ms, floor_s
from tests.bench.prompts import lines_of
from tests.servers import ServerError

INGEST_LINES = 50_000
OURS = "ours"
_TIMEOUT_S = 120.0


@contextmanager
def _client(url: str, key: str) -> Iterator[httpx.Client]:
    """A client of the API with an account's key."""
    headers = {"authorization": f"Bearer {key}"}
    with httpx.Client(base_url=url, headers=headers, timeout=_TIMEOUT_S, trust_env=False) as client:
        yield client


def _submit(client: httpx.Client, file: bytes) -> None:
    """Upload and submit.

    Raises:
        ServerError: the API refused it.
    """
    uploaded = client.post("/v1/files", files={"file": ("lines.jsonl", file)})
    if uploaded.is_success:
        body = {"mode": "compare", "models": [MODEL], "input_file_id": uploaded.json()["id"]}
        submitted = client.post("/v1/batches", json=body)
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
        with api_of(ours, account_id) as (api, url, key), _client(url, key) as client:
            _submit(client, b"".join(lines[:100]))
            before = psutil.Process(api.pid).memory_info().rss
            for _ in range(rounds):
                floors_s.append(floor_s(ours, lines))
                began = time.perf_counter()
                _submit(client, file)
                ours_s.append(time.perf_counter() - began)
            grown_mb = (rss_max_bytes(api.pid) - before) / 2**20
    note(f"{kind}, ingest of {INGEST_LINES}", ours_s=ours_s, floor_s=floors_s, grown_mb=grown_mb)
    ratios = [took / floor for took, floor in zip(ours_s, floors_s, strict=True)]
    yield Bar(f"ingest_{INGEST_LINES}_{kind}", median(ratios), at_most=INGEST_AT_MOST)
    yield Bar(f"ingest_api_rss_mb_{kind}", grown_mb, at_most=API_RSS_MB_AT_MOST)
