"""Rotation of the master key, on both stores, while work goes on."""

from collections.abc import Sequence
from pathlib import Path

import pytest
from sqlmodel import select

from app.db import Store
from app.domain.errors import ConflictError, SetupError
from app.domain.secret import Secret
from app.models import Account
from app.pipeline.accounts import make_account, webhook_secret_of
from app.vault import rotation
from app.vault.custody import check_vault, read_key_file
from app.vault.master import Vault, new_fernet_key
from app.vault.provider_keys import KeySetting
from app.vault.rotation import forget_old_keys, keys_in_use, put_new_key, rotate
from tests.factories.lanes import open_lane, set_key
from tests.factories.racing import run_at_once
from tests.fakes.engine import Engine
from tests.fakes.provider import FakeProvider, answer

KEY = "sk-canary-4be1-tail"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A key file with one master key."""
    made = tmp_path / "keys"
    made.write_text(new_fernet_key())
    return made


def vault_of(file: Path) -> Vault:
    return Vault(read_key_file(file), reload=lambda: read_key_file(file), fresh=True)


def make_accounts(store: Store, vault: Vault, count: int) -> Sequence[Account]:
    with store.transaction() as tx:
        return [make_account(tx, vault, f"account {n}") for n in range(count)]


def test_k6_every_data_key_is_rewrapped_and_the_old_master_key_may_go(
    store: Store, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rotation, "CHUNK", 2)
    old = vault_of(file)
    accounts = make_accounts(store, old, 5)
    lane = set_key(store, old, accounts[3], KeySetting("openai", Secret(KEY)))
    signing = [webhook_secret_of_(store, old, one) for one in accounts]
    kid, steps = put_new_key(file), []
    found = rotate(store, vault_of(file), lambda done, total: steps.append((done, total)))
    assert (found.current, found.rewrapped, found.left, found.is_done) == (kid, 5, {}, True)
    assert steps == [(2, 5), (4, 5), (5, 5)]
    assert forget_old_keys(store, file) == list(old.kids)
    new = Vault(file.read_text().strip())
    check_vault(store, new)
    assert new.kids == (kid,)
    credential = open_lane(store, new, lane.id)
    assert credential.secret is not None
    assert credential.secret.reveal() == KEY
    assert [webhook_secret_of_(store, new, one) for one in accounts] == signing
    with pytest.raises(SetupError, match=kid):
        check_vault(store, old)


def webhook_secret_of_(store: Store, vault: Vault, account: Account) -> str:
    with store.read() as session:
        return webhook_secret_of(session, vault, account.id).reveal()


def test_k6_a_rotation_that_was_cut_short_goes_on_where_it_was(
    store: Store, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rotation, "CHUNK", 2)
    make_accounts(store, vault_of(file), 5)
    put_new_key(file)

    def cut(_done: int, _total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        rotate(store, vault_of(file), cut)
    with store.read() as session:
        assert sorted(keys_in_use(session).values()) == [2, 3]
    assert rotate(store, vault_of(file)).rewrapped == 3


def test_k6_several_rotations_at_once_do_each_account_once(store: Store, file: Path) -> None:
    make_accounts(store, vault_of(file), 30)
    put_new_key(file)
    found = run_at_once(lambda _: rotate(store, vault_of(file)), 4, threads=4)
    assert sum(one.rewrapped for one in found) == 30
    assert all(one.is_done for one in found)


def test_a_master_key_in_use_is_not_forgotten(store: Store, file: Path) -> None:
    [account] = make_accounts(store, vault_of(file), 1)
    put_new_key(file)
    before = file.read_text()
    with pytest.raises(ConflictError, match=rf"{account.data_key_kid} \(1\)"):
        forget_old_keys(store, file)
    assert file.read_text() == before


def test_a_key_file_stays_private(store: Store, file: Path) -> None:
    put_new_key(file)
    assert file.stat().st_mode & 0o777 == 0o600
    forget_old_keys(store, file)
    assert file.stat().st_mode & 0o777 == 0o600


def test_k6_the_master_key_is_rotated_during_a_sweep_and_no_call_fails(
    store: Store, file: Path, tmp_path: Path
) -> None:
    engine = Engine(store, tmp_path, vault_of(file), OVERNIGHT_TRUSTED_HOSTS="127.0.0.0/8")
    with FakeProvider() as provider:
        provider.reply_with(*[answer("fine")] * 12)
        with store.read() as session:
            account = session.exec(select(Account)).one()
        setting = KeySetting("custom:fake", Secret(KEY), provider.url)
        set_key(store, engine.services.vault, account, setting)
        batch_id = engine.submit([f"p{n}" for n in range(12)], models=["custom:fake/m"])
        engine.follow(*engine.queue.hints.popleft())
        assert engine.pump_once(wanted=4)
        put_new_key(file)
        rotate(store, Vault(read_key_file(file)))
        assert engine.pump_once(wanted=4)
        forget_old_keys(store, file)
        engine.drain()
        assert len({seen.authorization_sha256 for seen in provider.journal}) == 1
    with store.read() as session:
        states = session.execute(
            store.sql("SELECT state, COUNT(*) FROM call WHERE batch_id = :id GROUP BY state"),
            {"id": batch_id},
        ).all()
    assert [tuple(row) for row in states] == [("succeeded", 12)]
