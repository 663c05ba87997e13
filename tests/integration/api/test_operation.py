"""Operation: alive, ready, described; and an answer in one shape whatever happens."""

import re
from pathlib import Path
from typing import Any

import msgspec
import pytest
import sqlalchemy as sa
from starlette.testclient import TestClient
from structlog.testing import capture_logs

from api.main import create_app
from app.domain.errors import SetupError, UnavailableError
from app.migrations import head
from app.providers.registry import known_providers
from app.queue import redis_client
from app.vault.master import new_fernet_key
from tests.fakes.engine import Engine
from tests.integration.api.conftest import Api, on_sqlite, refused


@on_sqlite
def test_it_is_alive_without_a_key(api: Api) -> None:
    assert api.get("/healthz", key=None).json() == {"ok": True}


def test_q11_it_is_ready_without_a_broker_and_says_so(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.pipeline.room.FREE_BYTES_MIN", 0)
    answer = api.get("/readyz", key=None)
    assert answer.status_code == 200
    found = answer.json()
    assert found.pop("vitals")["workers"] == 1
    assert found == {"ready": True, "problem": None, "degraded": ["broker"], "warnings": []}


@on_sqlite
@pytest.mark.parametrize("policy", ["noeviction", "allkeys-lru"])
def test_q13_a_broker_that_may_drop_hints_is_warned_of(
    engine: Engine, valkey_url: str, policy: str
) -> None:
    settings = engine.services.settings.model_copy(update={"redis_url": valkey_url})
    services = type(engine.services)(settings, engine.store, engine.queue, engine.services.vault)
    with redis_client(valkey_url) as client:
        client.config_set("maxmemory-policy", policy)
        with TestClient(create_app(services)) as http:
            found = http.get("/readyz").json()
        client.config_set("maxmemory-policy", "noeviction")
    assert found["ready"]
    assert found["degraded"] == []
    assert any("maxmemory" in one for one in found["warnings"]) == (policy != "noeviction")


def test_s8_it_is_not_ready_on_another_schema(api: Api) -> None:
    with api.engine.store.transaction() as tx:
        tx.run(sa.text("UPDATE alembic_version SET version_num = 'ffff'"))
    answer = api.get("/readyz", key=None)
    assert answer.status_code == 503
    assert "newer" in answer.json()["problem"]
    assert api.get("/healthz", key=None).status_code == 200


@pytest.fixture
def away(api: Api, monkeypatch: pytest.MonkeyPatch) -> Api:
    """An API whose store is away."""

    def read() -> Any:
        raise UnavailableError

    monkeypatch.setattr(api.engine.store, "read", read)
    return api


@on_sqlite
def test_s3_a_store_that_is_away_is_503_with_when_to_come_back(away: Api) -> None:
    answer = away.get("/v1/batches")
    refused(answer, 503)
    assert int(answer.headers["retry-after"]) > 0
    assert away.get("/readyz").status_code == 503


@on_sqlite
def test_every_answer_bears_the_id_of_its_request(api: Api) -> None:
    answers = [
        api.get(path, key=key)
        for path in ("/healthz", "/docs", "/openapi.json", "/nowhere", "/v1/batches")
        for key in (None, api.admin_key)
    ]
    ids = [answer.headers["x-request-id"] for answer in answers]
    assert len(set(ids)) == len(answers)
    assert all(re.fullmatch("req_[0-9a-z]{26}", one) for one in ids)
    assert all(answer.headers["x-content-type-options"] == "nosniff" for answer in answers)


@on_sqlite
@pytest.mark.parametrize(
    "path",
    ["/nowhere", "/v1", "/v1/", "/v1/batches/", "/v1/batches/estimate/x", "/v2/batches", "//"],
)
def test_a_route_that_is_not_there_is_an_error_as_any(api: Api, path: str) -> None:
    refused(api.get(path), 404)


@on_sqlite
def test_k11_a_fault_of_ours_is_told_by_its_id_and_nothing_else(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any) -> None:
        secret = "sk-canary-0123456789"
        raise ValueError(f"with {secret}")

    monkeypatch.setattr("api.v1.batches.list_batches", broken)
    with capture_logs() as logs:
        answer = api.get("/v1/batches")
    message = refused(answer, 500)
    assert "canary" not in answer.text
    assert "request_id" in message
    failed = next(line for line in logs if line["event"] == "request_failed")
    assert failed["route"] == "/v1/batches"


@on_sqlite
def test_half_an_answer_never_looks_whole(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    def pieces(*_: Any) -> Any:
        yield b'{"custom_id": "a"}\n'
        raise UnavailableError

    monkeypatch.setattr("api.v1.results.stream_results", pieces)
    batch = api.submit("a")
    with pytest.raises(RuntimeError, match="already started"):
        api.get(f"/v1/batches/{batch['id']}/results?format=jsonl")


@on_sqlite
def test_a_request_is_logged_by_its_route_and_not_by_its_path(api: Api) -> None:
    batch = api.submit("a")
    with capture_logs() as logs:
        api.get(f"/v1/batches/{batch['id']}")
        api.get("/healthz")
    (line,) = [line for line in logs if line["event"] == "request"]
    assert (line["method"], line["route"], line["status"]) == ("GET", "/v1/batches/{batch_id}", 200)


@on_sqlite
def test_the_description_refers_to_nothing_that_is_not_in_it(api: Api) -> None:
    schema = api.get("/openapi.json", key=None).json()
    text = msgspec.json.encode(schema).decode()
    names = set(re.findall(r'"#/components/schemas/(\w+)"', text))
    assert names == names & schema["components"]["schemas"].keys()
    assert {"BatchSubmission", "BatchView", "ErrorAnswer", "JobView", "ReportView"} <= names


@on_sqlite
def test_the_docs_are_one_page_that_fetches_nothing(api: Api) -> None:
    answer = api.get("/docs", key=None)
    assert answer.headers["content-security-policy"].startswith("default-src 'none'")
    assert "/v1/batches/{batch_id}/results" in answer.text
    assert not re.search(r"<(script|img|link|iframe)|src=|https?://", answer.text)


def test_models_say_whose_key_and_at_what_price(api: Api) -> None:
    found = api.get("/v1/models").json()
    gold = next(one for one in found["data"] if one["model"] == "simulated/gold")
    assert gold == {
        "model": "simulated/gold",
        "provider": "simulated",
        "key": "none",
        "price": {"input_usd": "5.00", "cache_read_usd": "5.00", "output_usd": "20.00"},
        "via": None,
        "context_tokens": None,
        "breaker": None,
    }
    assert {one["provider"] for one in found["data"]} == {"simulated"}
    openai = next(one for one in found["providers"] if one["provider"] == "openai")
    assert openai["key"] is None
    assert "no key" in openai["reason"]


def test_models_of_a_provider_with_a_key_are_those_of_the_price_list(api: Api) -> None:
    api.call("PUT", "/v1/settings/keys/openai", json={"api_key": "sk-0123456789abcdef"})
    body = {"base_url": "http://127.0.0.1:9/v1"}
    api.call("PUT", "/v1/settings/keys/custom:local", json=body)
    found = api.get("/v1/models").json()
    models = {one["model"]: one for one in found["data"]}
    assert models["openai/gpt-4o"]["key"] == "byok"
    assert models["openai/gpt-4o"]["price"]["input_usd"] == "2.50"
    assert not any("embedding" in name or "tts" in name for name in models)
    local = next(one for one in found["providers"] if one["provider"] == "custom:local")
    assert (local["key"], local["state"], local["models_listed"]) == ("byok", "open", False)
    theirs = api.get("/v1/models", key=api.stranger_key()).json()
    assert {one["provider"] for one in theirs["providers"]} == set(known_providers())


def test_the_webhook_secret_is_the_accounts_own(api: Api) -> None:
    mine = api.get("/v1/webhooks/secret").json()["secret"]
    theirs = api.get("/v1/webhooks/secret", key=api.stranger_key()).json()["secret"]
    assert mine.startswith("whsec_")
    assert mine != theirs


@pytest.fixture
def environment(tmp_path: Path, store_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """An environment that describes a system on the store."""
    monkeypatch.setenv("OVERNIGHT_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("DATABASE_URL", store_url)
    monkeypatch.setenv("BYOK_ENCRYPTION_KEY", new_fernet_key())
    # What the application sets up for its own process would outlive the test.
    monkeypatch.setattr("api.main.configure_logging", lambda _: None)


@pytest.mark.usefixtures("environment")
def test_it_starts_from_the_environment_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OVERNIGHT_PLATFORM_OPENAI_API_KEY", "sk-0123456789abcdef")
    with TestClient(create_app()) as http:
        assert http.get("/readyz").json()["ready"]


@pytest.mark.usefixtures("environment")
def test_s8_it_does_not_start_on_another_schema(engine: Engine) -> None:
    with engine.store.transaction() as tx:
        tx.run(sa.text("UPDATE alembic_version SET version_num = 'ffff'"))
    with pytest.raises(SetupError, match=f"newer|{head()}"), TestClient(create_app()):
        pass


@pytest.mark.usefixtures("environment", "engine")
def test_k7_it_does_not_start_without_the_master_key_of_its_accounts() -> None:
    with pytest.raises(SetupError, match="master keys"), TestClient(create_app()):
        pass
