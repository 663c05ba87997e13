"""A key comes from a prompt or from standard input, never from an argument."""

import io

import pytest

from api.cli.failure import ExitCode
from tests.fakes.api import FakeApi
from tests.unit.cli.conftest import Overnight

SECRET = "sk-made-up-and-secret-1234"
SETTING = {
    "provider": "openai",
    "key_id": "pk_1",
    "hint": "1234",
    "base_url": None,
    "limits": {"rpm": 60, "tpm": None, "in_flight": None},
    "state": "open",
    "parked_reason": None,
}


@pytest.fixture
def typed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{SECRET}\n"))


@pytest.mark.usefixtures("typed")
def test_a_key_is_read_from_standard_input(
    overnight: Overnight, api: FakeApi, capsys: pytest.CaptureFixture[str]
) -> None:
    api.answer("PUT /v1/settings/keys/openai", SETTING)
    assert overnight("keys", "set", "openai", "--rpm", "60") == ExitCode.DONE
    assert api.body() == {"api_key": SECRET, "limits": {"rpm": 60}}
    shown = capsys.readouterr().out
    assert "…1234" in shown
    assert SECRET not in shown


@pytest.mark.usefixtures("typed")
def test_a_key_is_no_argument(overnight: Overnight, api: FakeApi) -> None:
    assert overnight("keys", "set", "openai", SECRET) == ExitCode.USAGE
    assert api.journal == []


def test_a_server_without_a_key_is_not_asked_for_one(overnight: Overnight, api: FakeApi) -> None:
    local = SETTING | {"provider": "custom:local", "hint": None}
    api.answer("PUT /v1/settings/keys/custom:local", local)
    words = ("keys", "set", "custom:local", "--base-url", "http://127.0.0.1:8080/v1", "--no-key")
    assert overnight(*words) == ExitCode.DONE
    assert api.body() == {"base_url": "http://127.0.0.1:8080/v1"}


def test_an_empty_key_is_a_usage_error(
    overnight: Overnight, api: FakeApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(" \n"))
    assert overnight("keys", "set", "openai") == ExitCode.USAGE
    assert api.journal == []


def test_keys_are_listed_by_their_last_characters(
    overnight: Overnight, api: FakeApi, capsys: pytest.CaptureFixture[str]
) -> None:
    parked = SETTING | {"provider": "groq", "state": "parked", "parked_reason": "401"}
    api.answer("GET /v1/settings/keys", {"data": [SETTING, parked]})
    assert overnight("keys", "list") == ExitCode.DONE
    shown = capsys.readouterr().out
    assert "rpm 60" in shown
    assert "parked: 401" in shown


def test_a_key_is_removed(overnight: Overnight, api: FakeApi) -> None:
    api.answer("DELETE /v1/settings/keys/openai", None, status=200)
    assert overnight("keys", "remove", "openai") == ExitCode.DONE
