"""API keys from the command line: the secret alone on standard output, so that it can be piped."""

import pytest

from api.cli.failure import ExitCode
from tests.fakes.api import FakeApi
from tests.unit.cli.conftest import Overnight

KEY = {
    "id": "key_1",
    "name": "ci",
    "hint": "wxyz",
    "scopes": ["read", "submit"],
    "state": "active",
    "created_at": "2026-11-23T17:00:00Z",
    "expires_at": None,
    "revoked_at": None,
    "last_used_at": None,
}


def test_a_key_is_shown_once_and_alone(
    overnight: Overnight, api: FakeApi, capsys: pytest.CaptureFixture[str]
) -> None:
    api.answer("POST /v1/api-keys", {"secret": "made-up", "key": KEY}, status=201)
    words = ("api-keys", "create", "ci", "--scope", "read", "--expires", "2027-01-31T00:00:00Z")
    assert overnight(*words) == ExitCode.DONE
    assert api.body() == {"name": "ci", "scopes": ["read"], "expires_at": "2027-01-31T00:00:00Z"}
    said = capsys.readouterr()
    assert said.out == "made-up\n"
    assert "not shown again" in said.err


def test_keys_are_listed(
    overnight: Overnight, api: FakeApi, capsys: pytest.CaptureFixture[str]
) -> None:
    api.answer("GET /v1/api-keys", {"data": [KEY], "next": None})
    assert overnight("api-keys", "list") == ExitCode.DONE
    shown = capsys.readouterr().out
    assert all(word in shown for word in ("key_1", "…wxyz", "read submit", "active"))


def test_a_key_is_revoked(overnight: Overnight, api: FakeApi) -> None:
    api.answer("DELETE /v1/api-keys/key_1", None)
    assert overnight("api-keys", "revoke", "key_1") == ExitCode.DONE
