"""The master key is the operator's, or a private file's on one machine, or there is no start."""

import subprocess
import sys
import traceback
from pathlib import Path

import pytest
import structlog

from app.domain.errors import SetupError
from app.settings import load_settings
from app.vault.custody import KEY_FILE, load_vault
from app.vault.master import Vault, new_fernet_key
from app.vault.private import keep_private
from tests.factories.racing import run_at_once


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("DATABASE_URL", raising=False)
    for name in ("", "_FILE", "_COMMAND"):
        monkeypatch.delenv(f"BYOK_ENCRYPTION_KEY{name}", raising=False)
    monkeypatch.setenv("OVERNIGHT_DATA_DIR", str(tmp_path / "data"))


def test_the_operators_key_is_used_and_no_file_is_made(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    key = new_fernet_key()
    monkeypatch.setenv("BYOK_ENCRYPTION_KEY", key)
    assert load_vault(load_settings()).kids == Vault(key).kids
    assert not (tmp_path / "data").exists()


def test_a_single_machine_makes_its_own_key_once_and_warns(tmp_path: Path) -> None:
    with structlog.testing.capture_logs() as logs:
        made = load_vault(load_settings())
        again = load_vault(load_settings())
    file = tmp_path / "data" / KEY_FILE
    assert made.kids == again.kids == Vault(file.read_text()).kids
    assert file.stat().st_mode & 0o777 == 0o600
    assert [(entry["event"], entry["log_level"]) for entry in logs] == [
        ("master_key_made", "warning")
    ]
    assert file.read_text() not in str(logs)
    assert [path.name for path in file.parent.iterdir()] == [KEY_FILE]


def test_an_empty_variable_is_an_unset_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BYOK_ENCRYPTION_KEY", " ")
    assert load_vault(load_settings()).kids


def test_processes_that_start_together_agree_on_one_key() -> None:
    settings = load_settings()
    kids = run_at_once(lambda _: load_vault(settings).kids, 16, threads=16)
    assert len(set(kids)) == 1


def test_k7_a_server_without_a_master_key_is_refused_with_what_to_do(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://db.example/overnight")
    with pytest.raises(SetupError, match=r"BYOK_ENCRYPTION_KEY is not set.*generate_key"):
        load_vault(load_settings())
    assert not (tmp_path / "data").exists()


def test_k7_a_damaged_key_file_is_named_and_not_replaced(tmp_path: Path) -> None:
    file = tmp_path / "data" / KEY_FILE
    file.parent.mkdir()
    file.write_text("half a k")
    with pytest.raises(SetupError) as caught:
        load_vault(load_settings())
    assert f"{file}: key 1 of 1 is not a Fernet key" in caught.value.message
    assert "half a k" not in caught.value.message
    assert file.read_text() == "half a k"


def test_a_data_directory_that_is_none_is_refused(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("a file")
    with pytest.raises(SetupError, match="cannot be read or made"):
        load_vault(load_settings())


def test_a_private_file_is_replaced_only_when_asked(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_text("old")
    file.chmod(0o644)
    assert not keep_private(file, "new", replace=False)
    assert file.read_text() == "old"
    assert keep_private(file, "new", replace=True)
    assert (file.read_text(), file.stat().st_mode & 0o777) == ("new", 0o600)


def test_a_file_of_the_operators_is_read_and_never_made(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file, first, second = tmp_path / "keys", new_fernet_key(), new_fernet_key()
    monkeypatch.setenv("BYOK_ENCRYPTION_KEY_FILE", str(file))
    with pytest.raises(SetupError, match=f"{file} cannot be read"):
        load_vault(load_settings())
    assert not file.exists()
    file.write_text(f"{first}\n{second}\n")
    assert load_vault(load_settings()).kids == Vault(f"{first},{second}").kids


def test_a_command_prints_the_key_and_is_given_no_shell(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file, key = tmp_path / "a key", new_fernet_key()
    file.write_text(key)
    monkeypatch.setenv("BYOK_ENCRYPTION_KEY_COMMAND", f"cat '{file}'")
    assert load_vault(load_settings()).kids == Vault(key).kids
    monkeypatch.setenv("BYOK_ENCRYPTION_KEY_COMMAND", f"cat '{file}' ; true")
    with pytest.raises(SetupError, match="BYOK_ENCRYPTION_KEY_COMMAND ended with exit code 1"):
        load_vault(load_settings())


@pytest.mark.parametrize(
    ("command", "told"),
    [
        ("sh -c 'echo half-a-key; exit 3'", "ended with exit code 3"),
        ("sh -c 'echo half-a-key'", "key 1 of 1 is not a Fernet key"),
        ("sh -c 'echo half-a-key >&2; exit 1'", "ended with exit code 1"),
        ("/no/such/half-a-key", "cannot be run (FileNotFoundError)"),
        ("cat 'half-a-key", "cannot be run (ValueError)"),
        ("sh -c 'echo half-a-key; exec sleep 30'", "did not end within"),
    ],
)
def test_k7_of_a_command_that_fails_nothing_is_repeated(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], command: str, told: str
) -> None:
    monkeypatch.setenv("BYOK_ENCRYPTION_KEY_COMMAND", command)
    monkeypatch.setattr("app.vault.commands.TIMEOUT_S", 1.0)
    with structlog.testing.capture_logs() as logs, pytest.raises(SetupError) as caught:
        load_vault(load_settings())
    assert told in caught.value.message
    shown = "".join(traceback.format_exception(caught.value)) + str(logs) + str(capfd.readouterr())
    assert "half-a-key" not in shown


def test_the_master_key_has_one_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BYOK_ENCRYPTION_KEY", new_fernet_key())
    monkeypatch.setenv("BYOK_ENCRYPTION_KEY_COMMAND", "true")
    with pytest.raises(SetupError, match="BYOK_ENCRYPTION_KEY and BYOK_ENCRYPTION_KEY_COMMAND"):
        load_vault(load_settings())


def test_k14_a_process_that_holds_the_master_key_leaves_no_core_dump() -> None:
    code = (
        "import resource; from app.settings import load_settings; "
        "from app.vault.custody import load_vault; load_vault(load_settings()); "
        "print(resource.getrlimit(resource.RLIMIT_CORE)[0])"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.splitlines()[-1] == "0"
