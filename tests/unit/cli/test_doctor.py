"""The doctor says what is set, hides what is secret, and knows what to do."""

import json
from pathlib import Path

import pytest

from api.cli.checks import Level, examine
from api.cli.doctor import settings_shown, without_password
from api.cli.failure import ExitCode
from app.db import Store
from app.migrations import upgrade
from app.settings import load_settings
from app.vault.custody import KEY_FILE, load_vault
from tests.fakes.api import FakeApi
from tests.unit.cli.conftest import Overnight

SECRETS = {
    "BYOK_ENCRYPTION_KEY": "made-up-master-key",
    "OVERNIGHT_API_KEY": "ovn_made_up_api_key",
    "OVERNIGHT_PLATFORM_OPENAI_API_KEY": "sk-made-up-platform-key",
    "DATABASE_URL": "postgresql://overnight:made-up-password@db.test/overnight",
    "REDIS_URL": "rediss://:made-up-password@broker.test:6379/0",
}


def levels() -> dict[str, Level]:
    return {finding.check: finding.level for finding in examine(load_settings())}


def advice_on(check: str) -> str:
    return " ".join(
        str(finding.advice) for finding in examine(load_settings()) if finding.check == check
    )


@pytest.fixture
def healthy(api: FakeApi, tmp_path: Path) -> Path:
    """A data directory as `overnight up` leaves it."""
    tmp_path.chmod(0o700)
    settings = load_settings()
    store = Store(settings.store_url)
    upgrade(store.engine)
    store.close()
    load_vault(settings)
    api.answer("GET /healthz", {"ok": True})
    api.answer("GET /v1/settings/keys", {"data": []})
    return tmp_path


def test_every_setting_is_listed_and_no_secret_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)
    shown = settings_shown(load_settings())
    assert {"OVERNIGHT_PORT", "OVERNIGHT_GRACE_S", *SECRETS} <= set(shown)
    assert "made-up" not in json.dumps(shown)
    assert "db.test" in shown["DATABASE_URL"]


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("unix:///data/valkey.sock", "unix:///data/valkey.sock"),
        ("postgresql://me:pw@host/db", "postgresql://me:***@host/db"),
        ("redis://:pw@host:1/0", "redis://:***@host:1/0"),
        ("postgresql:///db?host=/run&password=pw", "postgresql:///db?host=/run&password=***"),
    ],
)
def test_a_url_is_shown_without_what_lets_in(url: str, shown: str) -> None:
    assert without_password(url) == shown


def test_nothing_is_made_by_looking(api: FakeApi, tmp_path: Path) -> None:
    api.refuse("GET /healthz", 404, "no")
    examine(load_settings())
    assert list(tmp_path.iterdir()) == []


def test_a_fresh_machine_is_told_to_start(api: FakeApi) -> None:
    api.refuse("GET /healthz", 404, "no")
    assert levels()["store"] is Level.BROKEN
    assert "overnight up" in advice_on("store")


@pytest.mark.usefixtures("healthy")
def test_what_is_well_is_said_to_be_well(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.pipeline.room.FREE_BYTES_MIN", 0)
    found = levels()
    assert found.pop("broker") is Level.BROKEN  # there is none in a unit test
    assert set(found) == {
        "data directory",
        "disk",
        "store",
        "clock",
        "master key",
        "API",
        "API key",
    }
    assert set(found.values()) == {Level.OK}


def test_a_directory_open_to_others_is_a_warning(healthy: Path) -> None:
    healthy.chmod(0o755)
    assert levels()["data directory"] is Level.WARNING
    assert f"chmod 700 {healthy}" in advice_on("data directory")


@pytest.mark.usefixtures("healthy")
def test_a_disk_that_is_nearly_full_is_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.pipeline.room.FREE_BYTES_MIN", 2**60)
    monkeypatch.setattr("app.pipeline.room._SHARE_MIN", 1)
    assert levels()["disk"] is Level.WARNING


def test_a_lost_master_key_is_not_replaced(healthy: Path) -> None:
    (healthy / KEY_FILE).unlink()
    assert levels()["master key"] is Level.BROKEN
    assert not (healthy / KEY_FILE).exists()


@pytest.mark.usefixtures("healthy")
def test_an_older_schema_is_to_be_migrated() -> None:
    store = Store(load_settings().store_url)
    with store.transaction() as tx:
        tx.connection().exec_driver_sql("DELETE FROM alembic_version")
    store.close()
    assert levels()["schema"] is Level.BROKEN
    assert "overnight migrate" in advice_on("schema")


@pytest.mark.usefixtures("healthy")
def test_a_refused_api_key_is_named_by_its_last_characters(api: FakeApi) -> None:
    api.refuse("GET /v1/settings/keys", 401, "no")
    (finding,) = [one for one in examine(load_settings()) if one.check == "API key"]
    assert finding.level is Level.BROKEN
    assert "…wxyz from OVERNIGHT_API_KEY" in finding.detail


@pytest.mark.usefixtures("healthy")
def test_a_parked_provider_key_is_to_be_set_again(api: FakeApi) -> None:
    key = {"provider": "openai", "hint": "1234", "state": "parked", "parked_reason": "401"}
    api.answer("GET /v1/settings/keys", {"data": [key]})
    assert levels()["key of openai"] is Level.WARNING
    assert "overnight keys set openai" in advice_on("key of openai")


@pytest.mark.usefixtures("healthy")
def test_something_broken_is_an_exit_code(
    overnight: Overnight, capsys: pytest.CaptureFixture[str]
) -> None:
    assert overnight("doctor", "--json") == ExitCode.FAILED
    said = capsys.readouterr()
    assert said.err == "overnight: broken: broker\n"
    assert {"settings", "findings"} == set(json.loads(said.out))
    assert overnight("doctor") == ExitCode.FAILED
    assert "OVERNIGHT_PORT" in capsys.readouterr().out
