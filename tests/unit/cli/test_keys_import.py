"""Many keys come from lines of NAME=value; no value is ever shown."""

import io
import json
from pathlib import Path
from typing import Any

import pytest

from api.cli.dotenv import read_keys
from api.cli.failure import ExitCode, Failure
from app.providers.registry import known_providers
from tests.fakes.api import FakeApi
from tests.unit.cli.conftest import Overnight

OPENAI, GOOGLE = "sk-made-up-openai-1111", "AIza-made-up-google-2222"
ENV = f"""
# keys
export OPENAI_API_KEY="{OPENAI}"   # mine
GEMINI_API_KEY='{GOOGLE}'
GOOGLE_API_KEY={GOOGLE}
GROQ_API_KEY=
DATABASE_URL=postgresql://user:secret@db/x
ACME_API_KEY=sk-of-nobody-3333
"""


@pytest.fixture
def keys(api: FakeApi) -> FakeApi:
    api.answer("GET /v1/models", {"providers": [{"provider": one} for one in known_providers()]})
    before = {
        "provider": "openai",
        "base_url": "https://proxy.example.com/v1",
        "limits": {"rpm": 60, "tpm": None, "in_flight": None},
    }
    api.answer("GET /v1/settings/keys", {"data": [before]})
    for provider, hint in (("openai", "1111"), ("google", "2222")):
        api.answer(f"PUT /v1/settings/keys/{provider}", {"hint": hint})
        api.answer(f"POST /v1/settings/keys/{provider}/check", {"ok": True, "detail": "accepted"})
    return api


def puts(api: FakeApi) -> dict[str, Any]:
    return {
        one.url.path.rpartition("/")[2]: json.loads(one.content)
        for one in api.journal
        if one.method == "PUT"
    }


def no_secret_in(shown: Any) -> None:
    for text in (shown.out, shown.err):
        assert not [one for one in (OPENAI, GOOGLE, "3333", "secret") if one in text]


def test_every_key_is_set_and_what_else_was_set_stays(
    overnight: Overnight, keys: FakeApi, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / ".env").write_text(ENV)
    assert overnight("keys", "import", str(tmp_path / ".env")) == ExitCode.DONE
    assert puts(keys) == {
        "openai": {
            "api_key": OPENAI,
            "base_url": "https://proxy.example.com/v1",
            "limits": {"rpm": 60},
        },
        "google": {"api_key": GOOGLE},
    }
    shown = capsys.readouterr()
    no_secret_in(shown)
    assert "openai: set, …1111" in shown.out
    assert "ACME_API_KEY is left out" in shown.err
    assert "DATABASE_URL" not in shown.err


def test_standard_input_will_do_and_nothing_is_set_in_a_dry_run(
    overnight: Overnight,
    keys: FakeApi,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(ENV))
    assert overnight("keys", "import", "--dry-run", "--json") == ExitCode.DONE
    shown = capsys.readouterr()
    no_secret_in(shown)
    assert [one["provider"] for one in json.loads(shown.out)] == ["openai", "google"]
    assert puts(keys) == {}


def test_one_that_is_not_taken_does_not_stop_the_others(
    overnight: Overnight, keys: FakeApi, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / ".env").write_text(ENV)
    keys.answer("POST /v1/settings/keys/openai/check", {"ok": False, "detail": "401"})
    assert overnight("keys", "import", str(tmp_path / ".env"), "--check") == ExitCode.FAILED
    shown = capsys.readouterr()
    assert "! openai: 401" in shown.out
    assert "· google: accepted" in shown.out
    assert "not taken: openai" in shown.err
    no_secret_in(shown)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "no provider's key"),
        ("ACME_API_KEY=x", "ACME_API_KEY: not known"),
        (f"OPENAI_API_KEY={OPENAI}\n{GOOGLE}", "line 2: it is no NAME=value"),
        (f"GOOGLE_API_KEY={GOOGLE}\nGEMINI_API_KEY={OPENAI}", "line 2: GEMINI_API_KEY is not"),
    ],
)
def test_what_cannot_be_meant_is_a_usage_error_and_sets_nothing(
    overnight: Overnight,
    keys: FakeApi,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    text: str,
    said: str,
) -> None:
    (tmp_path / ".env").write_text(text)
    assert overnight("keys", "import", str(tmp_path / ".env")) == ExitCode.USAGE
    shown = capsys.readouterr()
    assert said in shown.err
    no_secret_in(shown)
    assert puts(keys) == {}


def test_a_secret_in_a_file_that_is_none_is_not_in_the_error() -> None:
    with pytest.raises(Failure) as caught:
        read_keys([OPENAI], known_providers())
    assert OPENAI not in str(caught.value)


@pytest.mark.parametrize("provider", known_providers())
def test_every_provider_has_a_variable(provider: str) -> None:
    name = f"{provider.upper()}_API_KEY"
    assert list(read_keys([f"{name}=x"], known_providers()).keys) == [provider]
