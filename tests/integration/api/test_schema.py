"""The description of the native API holds: what it says is answered, whatever is asked."""

from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from schemathesis.config import SchemathesisConfig
from schemathesis.engine import from_schema
from schemathesis.engine.events import FatalError, NonFatalError, ScenarioFinished

from tests.integration.api.conftest import Api, on_sqlite

#: What would end the account that asks, take its keys, or ask a vendor over the network.
LEFT_OUT = (
    "DELETE /v1/account",
    "POST /v1/account/purge",
    "POST /v1/settings/keys/{provider}/check",
)
CHECKED = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_schema_conformance",
)
#: What is asked, in two parts that run beside each other, and what at least is done by it.
PARTS = {
    "^/v1/batches": {
        "GET /v1/batches 200",
        "GET /v1/batches 422",
        "GET /v1/batches/{batch_id} 200",
        "GET /v1/batches/{batch_id}/events 200",
        "GET /v1/batches/{batch_id}/report 200",
        "GET /v1/batches/{batch_id}/results 200",
        "POST /v1/batches 201",
        "POST /v1/batches 422",
        "POST /v1/batches/estimate 200",
    },
    "^/v1/(?!batches)": {
        "GET /v1/files/{file_id} 200",
        "GET /v1/jobs/{job_id} 200",
        "GET /v1/models 200",
        "GET /v1/usage 200",
        "GET /v1/webhooks/{endpoint_id} 200",
        "PUT /v1/settings/prices 200",
        "PUT /v1/settings/privacy 200",
    },
}


def config(key: str, pattern: str, ids: dict[str, str]) -> SchemathesisConfig:
    left_out = [{"include-name": name, "enabled": False} for name in LEFT_OUT]
    # Its body is the same as that of the submission.
    estimate = {
        "include-name": "POST /v1/batches/estimate",
        "phases": {"coverage": {"enabled": False}},
    }
    return SchemathesisConfig.from_dict(
        {
            "seed": 1,
            "base-url": "http://testserver",
            "headers": {"Authorization": f"Bearer {key}"},
            "parameters": {f"path.{name}": id_ for name, id_ in ids.items()},
            "generation": {
                "max-examples": 4,
                "deterministic": True,
                "database": "none",
                "no-shrink": True,
                "with-security-parameters": False,
            },
            "phases": {
                "coverage": {"unexpected-methods": ["PATCH"]},
                "stateful": {"enabled": False},
            },
            "checks": {"enabled": False} | {name: {"enabled": True} for name in CHECKED},
            "operations": [{"exclude-path-regex": pattern, "enabled": False}, *left_out, estimate],
        }
    )


def made(api: Api) -> dict[str, str]:
    """The ids of one thing of each kind."""
    batch = api.finished("Why?", name="nightly", metadata={"team": "search"})
    (line,) = api.get(f"/v1/batches/{batch['id']}/results").json()["data"]
    file = api.post("/v1/files", files={"file": ("a.jsonl", b'{"prompt":"Why?"}')}).json()
    key = api.post("/v1/api-keys", json={"name": "spare", "scopes": ["read"]}).json()
    hook = api.post("/v1/webhooks", json={"url": "http://127.0.0.1:9/hook"}).json()
    return {
        "batch_id": batch["id"],
        "job_id": line["job_id"],
        "file_id": file["id"],
        "endpoint_id": hook["id"],
        "api_key_id": key["key"]["id"],  # or it would find and delete the one it asks with
    }


def failures(event: Any, answered: set[str]) -> Iterator[str]:
    """What an event says went wrong; and what was answered to what."""
    if isinstance(event, FatalError):
        yield str(event.exception)
    elif isinstance(event, NonFatalError):
        yield f"{event.label}: {event.value}"
    elif isinstance(event, ScenarioFinished):
        seen = event.recorder
        for id_, checks in seen.checks.items():
            answer = seen.interactions[id_].response
            status = None if answer is None else answer.status_code
            answered.add(f"{seen.cases[id_].value.operation.label} {status}")
            for info in (one.failure_info for one in checks):
                if info is not None:
                    yield f"{info.failure}\n{info.code_sample}"


@on_sqlite
@pytest.mark.parametrize("pattern", PARTS)
def test_i20_no_request_makes_a_fault_of_ours_or_an_answer_that_is_not_described(
    api: Api, pattern: str
) -> None:
    schema = schemathesis.openapi.from_asgi(
        "/openapi.json", api.client.app, config=config(api.admin_key, pattern, made(api))
    )
    answered: set[str] = set()
    found = [one for event in from_schema(schema).execute() for one in failures(event, answered)]
    assert found == [], "\n\n".join(found[:20])
    assert PARTS[pattern] <= answered
