"""Bodies that are broken, huge or odd: an answer every time, and never a 5xx."""

import gzip
import json
from collections.abc import Iterator
from typing import Any

import pytest

from api.v1.submission import SUBMIT_BYTES_MAX
from tests.integration.api.conftest import Api, on_sqlite, refused, submission


def with_job(job: bytes) -> bytes:
    return b'{"mode": "chat", "models": ["simulated/gold"], "jobs": [' + job + b"]}"


@pytest.mark.parametrize(
    ("job", "status"),
    [
        (b'{"prompt": NaN}', 400),
        (b'{"prompt": 1e999}', 422),
        (b'{"messages": [{"role": "user", "content": -Infinity}]}', 400),
        (b'{"prompt": "a\\u0000b"}', 422),
        (b'{"prompt": "a", "reference": "\\u0000"}', 422),
        (
            b'{"messages": [{"role": "user", "content": [{"type": "text", "text": "\\u0000"}]}]}',
            422,
        ),
        (b'{"prompt": "\\ud800"}', 400),
        (b'{"prompt": "\\udc00 b"}', 400),
        (b'{"prompt": ' + b"9" * 5000 + b"}", 422),
        (b'{"prompt": true}', 422),
        (b'{"prompt": ' + b"[" * 900 + b"]" * 900 + b"}", 422),
        (b'{"prompt": ' + b"[" * 10_000 + b"]" * 10_000 + b"}", 400),
        (b'{"prompt": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", 400),
        (b'{"prompt": "a\xff"}', 400),
        (b'{"prompt": "a"', 400),
        (b"null", 422),
        (b'{"prompt": "a", "messages": []}', 422),
        (b'{"messages": []}', 422),
        (b'{"messages": [{"role": "root", "content": "a"}]}', 422),
    ],
)
def test_i1_to_i5_a_job_that_no_store_could_keep_is_refused_on_both(
    api: Api, job: bytes, status: int
) -> None:
    refused(api.send(with_job(job)), status)
    assert api.get("/v1/batches").json()["data"] == []


@on_sqlite
def test_i6_of_a_name_given_twice_the_last_counts(api: Api) -> None:
    answer = api.send(with_job(b'{"prompt": "a", "custom_id": "x", "custom_id": "y"}'))
    api.engine.drain()
    results = api.get(f"/v1/batches/{answer.json()['id']}/results").json()
    assert results["data"][0]["custom_id"] == "y"


@on_sqlite
def test_i7_a_body_over_the_limit_is_refused_unread(api: Api) -> None:
    headers = {"Content-Length": str(SUBMIT_BYTES_MAX + 1)}
    answer = api.send(b"{}", headers=headers)
    refused(answer, 413)
    assert answer.headers["connection"] == "close"


@on_sqlite
def test_i7_a_body_without_end_is_read_up_to_the_limit(api: Api) -> None:
    sent = 0

    def endless() -> Iterator[bytes]:
        nonlocal sent
        while sent < 3 * SUBMIT_BYTES_MAX:
            sent += 1 << 20
            yield b" " * (1 << 20)

    refused(api.post("/v1/batches", content=endless()), 413)


@on_sqlite
@pytest.mark.parametrize("encoding", ["gzip", "br", "deflate"])
def test_i8_a_compressed_body_is_refused(api: Api, encoding: str) -> None:
    body = gzip.compress(json.dumps(submission()).encode())
    refused(api.send(body, headers={"Content-Encoding": encoding}), 415)


@on_sqlite
@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-32", "latin-1"])
def test_i9_only_plain_utf8_is_read(api: Api, encoding: str) -> None:
    body = json.dumps(submission("é"), ensure_ascii=False).encode(encoding)
    refused(api.send(body), 400)


@on_sqlite
@pytest.mark.parametrize("body", [b"", b"null", b"[]", b"{", b'"x"', b"{}", b'{"jobs": [{}]}'])
def test_what_is_no_submission_is_refused(api: Api, body: bytes) -> None:
    answer = api.send(body)
    assert answer.status_code in {400, 422}
    refused(answer, answer.status_code)


@on_sqlite
def test_a_body_is_not_read_before_the_key_is(api: Api) -> None:
    answer = api.send(b"{" * 1000, key=None)
    refused(answer, 401)
    assert answer.headers["connection"] == "close"


@on_sqlite
@pytest.mark.parametrize(
    ("path", "param"),
    [
        ("/v1/batches?limit=0", "limit"),
        ("/v1/batches?limit=1e999", "limit"),
        ("/v1/batches?limit=" + "9" * 5000, "limit"),
        ("/v1/batches?after=batch_x", "after"),
        ("/v1/batches?after=%00", "after"),
        ("/v1/batches?after=batch_00000000000000000000000000%0a", "after"),
        ("/v1/batches?status=done", "status"),
        ("/v1/credits/transactions?after=%ff%fe", "after"),
        ("/v1/credits/transactions?limit=201", "limit"),
    ],
)
def test_a2_a_query_that_makes_no_sense_is_refused(api: Api, path: str, param: str) -> None:
    refused(api.get(path), 422, param)


@on_sqlite
@pytest.mark.parametrize("kind", ["batches", "jobs", "files"])
@pytest.mark.parametrize(
    "given", ["x", "%00", "%2e%2e", "a%0ab", "%ff", "x" * 5000, "batch_" + "0" * 26 + "%0a"]
)
def test_what_cannot_be_an_id_is_not_found(api: Api, kind: str, given: str) -> None:
    refused(api.get(f"/v1/{kind}/{given}"), 404)


@pytest.mark.parametrize("field", ["name", "metadata", "params"])
def test_i2_a_nul_beside_the_jobs_is_refused_on_both(api: Api, field: str) -> None:
    values: dict[str, Any] = {
        "name": "\x00",
        "metadata": {"k": "\x00"},
        "params": {"extra": {"k": "\x00"}},
    }
    answer = api.post("/v1/batches", json=submission(**{field: values[field]}))
    assert "NUL" in refused(answer, 422)
