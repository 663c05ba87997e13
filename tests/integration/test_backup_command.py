"""`overnight backup` and `overnight restore`, as an operator types them."""

import json
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlmodel import select

from api.cli.commands import run
from api.cli.failure import ExitCode
from app.db import Store
from app.domain.errors import SealError
from app.domain.secret import Secret
from app.models import Account, Batch, Lane, StoredText, TextKey
from app.settings import load_settings
from app.vault.keyring import Keyring
from app.vault.master import Vault, new_fernet_key
from app.vault.provider_keys import KeySetting, open_credential, set_provider_key
from app.vault.text_keys import cipher_of_batch
from tests.fakes.engine import Engine
from tests.servers import PostgresServer

KEPT, GONE, KEY = "prompt-that-is-kept-41", "prompt-that-is-not-kept-42", "sk-canary-43-0123456789"
MASTER = new_fernet_key()
QUICK = {"extra": {"simulated": {"latency_ms": 0}}}


@pytest.fixture
def engine(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Engine:
    """A system with a key, a batch that is plain, and one that retains nothing."""
    before = tmp_path / "before"
    monkeypatch.setenv("BYOK_ENCRYPTION_KEY", MASTER)
    monkeypatch.setenv("REDIS_URL", f"unix://{tmp_path / 'no.sock'}")
    go_to(monkeypatch, before, str(store.url.render_as_string(hide_password=False)))
    made = Engine(store, before, Vault(MASTER, keyring=Keyring(before / "keyring")))
    with store.transaction() as tx:
        account = tx.get_one(Account, made.account_id)
        set_provider_key(tx, made.services.vault, account, KeySetting("openai", Secret(KEY)))
    made.submit([KEPT], params=QUICK)
    made.submit([GONE], params=QUICK, retention="none")
    made.drain()
    return made


@pytest.fixture
def empty_url(engine: Engine, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[str]:
    """A store of the same kind that was never used."""
    if engine.store.is_sqlite:
        yield f"sqlite:///{tmp_path / 'after' / 'overnight.db'}"
        return
    server: PostgresServer = request.getfixturevalue("postgres")
    with server.database() as url:
        yield url


def go_to(monkeypatch: pytest.MonkeyPatch, data_dir: Path, url: str) -> None:
    """Be on another machine."""
    monkeypatch.setenv("DATABASE_URL", url)
    monkeypatch.setenv("OVERNIGHT_DATA_DIR", str(data_dir))


def overnight(capsys: pytest.CaptureFixture[str], *words: str) -> Any:
    """What a command printed as JSON."""
    capsys.readouterr()
    assert run((*words, "--json")) == ExitCode.DONE
    return json.loads(capsys.readouterr().out)


def content_of(path: Path) -> bytes:
    with tarfile.open(path) as tar:
        return b"".join(content.read() for member in tar if (content := tar.extractfile(member)))


def test_a_backup_holds_what_is_plain_and_no_key_whatsoever(
    engine: Engine, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "backup"
    told = overnight(capsys, "backup", str(path))
    assert told["needs_keys"] == list(engine.services.vault.kids)
    assert (told["path"], told["bytes"]) == (str(path), path.stat().st_size)
    content = content_of(path)
    assert KEPT.encode() in content
    keyring = [one.read_bytes() for one in (tmp_path / "before" / "keyring").iterdir()]
    assert len(keyring) == 1
    for secret in (MASTER.encode(), KEY.encode(), GONE.encode(), *keyring):
        assert secret not in content
    assert run(("backup", str(path))) == ExitCode.DONE
    assert "The master key is not in it" in capsys.readouterr().out


@pytest.mark.usefixtures("engine")
def test_k10_restored_without_the_keyring_what_retained_nothing_stays_shut(
    empty_url: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    path = tmp_path / "backup"
    overnight(capsys, "backup", str(path))
    go_to(monkeypatch, tmp_path / "after", empty_url)
    told = overnight(capsys, "restore", str(path))
    assert (told["open_batches"], told["unknown_calls"], told["replayed_deliveries"]) == (0, 0, 0)
    restored, vault = Store(empty_url), Vault(MASTER, keyring=Keyring(tmp_path / "after/keyring"))
    with restored.read() as session:
        lane = session.exec(select(Lane.id).where(Lane.provider == "openai")).one()
        credential = open_credential(session, vault, load_settings(), lane)
        assert credential.secret is not None
        assert credential.secret.reveal() == KEY
        texts = [row.body for row in session.exec(select(StoredText)).all()]
        assert any(KEPT in text for text in texts)
        assert not any(GONE in text for text in texts)
        (shut,) = session.exec(select(Batch.id).join(TextKey, TextKey.batch_id == Batch.id)).all()  # type: ignore[arg-type]
        with pytest.raises(SealError, match="not in the keyring"):
            cipher_of_batch(session, vault, shut)
    restored.close()


def test_a_restore_that_may_not_be_says_why_and_does_nothing(
    engine: Engine,
    empty_url: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    path = tmp_path / "backup"
    overnight(capsys, "backup", str(path))
    assert run(("restore", str(path))) == ExitCode.FAILED
    assert "the store is not empty" in capsys.readouterr().err
    go_to(monkeypatch, tmp_path / "after", empty_url)
    monkeypatch.setenv("BYOK_ENCRYPTION_KEY", new_fernet_key())
    assert run(("restore", str(path))) == ExitCode.FAILED
    assert engine.services.vault.kids[0] in capsys.readouterr().err
    monkeypatch.setenv("BYOK_ENCRYPTION_KEY", MASTER)
    assert overnight(capsys, "restore", str(path))["open_batches"] == 0
