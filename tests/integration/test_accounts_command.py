"""`overnight accounts`: the operator's hand on the store itself."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from api.cli.accounts import limit_of
from api.cli.commands import run
from api.cli.failure import ExitCode, Failure
from app.db import Store
from app.domain.errors import UnauthorizedError
from app.pipeline.accounts import admit
from app.vault.master import new_fernet_key
from tests.fakes.engine import Engine

Accounts = Callable[..., Any]


@pytest.fixture
def accounts(
    store_url: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Accounts:
    """Run a command; what it printed as JSON."""
    monkeypatch.setenv("DATABASE_URL", store_url)
    monkeypatch.setenv("OVERNIGHT_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("REDIS_URL", f"unix://{tmp_path / 'no.sock'}")
    monkeypatch.setenv("BYOK_ENCRYPTION_KEY", new_fernet_key())

    def overnight(*words: str) -> Any:
        assert run(("accounts", *words, "--json")) == ExitCode.DONE
        return json.loads(capsys.readouterr().out)

    return overnight


def test_a_new_account_comes_in_with_the_key_that_is_shown(
    accounts: Accounts, store: Store
) -> None:
    made = accounts("create", "acme")
    principal = admit(store, f"Bearer {made['secret']}")
    assert (principal.account_id, principal.api_key_id) == (made["account_id"], made["api_key_id"])
    (listed,) = accounts("list")
    assert (listed["id"], listed["name"], listed["disabled_at"]) == (
        made["account_id"],
        "acme",
        None,
    )
    shown = accounts("show", made["account_id"])
    assert shown["credits"]["available_nanos"] == 0
    assert made["secret"] not in json.dumps(shown)
    another = accounts("api-key", made["account_id"], "--name", "again")
    assert admit(store, f"Bearer {another['secret']}").account_id == made["account_id"]
    log = accounts("audit", made["account_id"])
    assert [one["action"] for one in log] == [
        "api_key.created",
        "api_key.created",
        "account.created",
    ]
    assert {one["actor"] for one in log} == {"operator"}


def test_an_account_has_limits_of_its_own_or_what_the_settings_say(
    accounts: Accounts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OVERNIGHT_QUEUED_JOBS_MAX", "1000")
    account_id = accounts("create", "acme")["account_id"]
    assert accounts("show", account_id)["limits"]["queued_jobs_max"] == 1000
    words = ("--queued-jobs", "none", "--storage-bytes", "5000")
    assert accounts("limits", account_id, *words) == {
        "requests_per_minute": None,
        "queued_jobs_max": None,
        "storage_bytes_max": 5000,
    }


def test_a_disabled_account_is_shut_out_and_its_batches_can_be_cancelled(
    accounts: Accounts, store: Store, tmp_path: Path
) -> None:
    made = accounts("create", "acme")
    engine = Engine(store, tmp_path)
    engine.account_id = made["account_id"]
    engine.submit(["a"])
    assert run(("accounts", "disable", made["account_id"], "--cancel")) == ExitCode.DONE
    with pytest.raises(UnauthorizedError):
        admit(store, f"Bearer {made['secret']}")
    with store.read() as session:
        state = session.connection().execute(store.sql("SELECT state FROM batch")).scalar_one()
    assert state == "cancelling"
    assert run(("accounts", "enable", made["account_id"])) == ExitCode.DONE
    assert admit(store, f"Bearer {made['secret']}")


@pytest.mark.usefixtures("accounts")
@pytest.mark.parametrize("command", ["show", "limits", "disable", "enable", "api-key", "audit"])
def test_an_account_that_is_not_there_is_a_mistake_of_the_command_line(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(("accounts", command, "acct_none")) == ExitCode.USAGE
    assert "acct_none" in capsys.readouterr().err


def test_what_is_no_limit_is_refused() -> None:
    assert (limit_of("7"), limit_of("none"), limit_of("default")) == (7, 0, None)
    for text in ("0", "-1", "1.5", "many", ""):
        with pytest.raises(Failure):
            limit_of(text)
