"""Who may come in: API keys in the store, and the local account of one machine."""

from datetime import timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlmodel import select

from app.accounts.accounts import set_disabled
from app.accounts.api_keys import (
    NewApiKey,
    Scope,
    authenticate,
    create_api_key,
    revoke_api_key,
)
from app.accounts.audit import actions_of
from app.db import Store
from app.domain.errors import ForbiddenError, NotFoundError, UnauthorizedError, UnavailableError
from app.models import Account, ApiKey
from app.pipeline.accounts import (
    API_KEY_FILE,
    admit,
    ensure_local_account,
    make_account,
    note_use,
    webhook_secret_of,
)
from app.vault.master import Vault, new_fernet_key
from app.webhooks.signing import check_secret
from tests.factories.racing import run_at_once


@pytest.fixture
def vault() -> Vault:
    return Vault(new_fernet_key())


@pytest.fixture
def account(store: Store, vault: Vault) -> Account:
    with store.transaction() as tx:
        return make_account(tx, vault, "one")


@pytest.fixture
def api_key(store: Store, account: Account) -> NewApiKey:
    with store.transaction() as tx:
        return create_api_key(tx, account.id, "laptop", [Scope.READ, Scope.SUBMIT])


def bearer(key: NewApiKey) -> str:
    return f"Bearer {key.value.reveal()}"


def test_a_key_lets_in_its_account_with_its_scopes(
    store: Store, account: Account, api_key: NewApiKey
) -> None:
    principal = admit(store, bearer(api_key))
    assert (principal.account_id, principal.api_key_id) == (account.id, api_key.id)
    assert principal.scopes == {Scope.READ, Scope.SUBMIT}


def test_only_a_hash_of_a_key_is_stored(store: Store, api_key: NewApiKey) -> None:
    token = api_key.value.reveal()
    with store.read() as session:
        row = session.get_one(ApiKey, api_key.id)
    assert token not in repr(row)
    assert token.endswith(row.hint)
    assert len(row.hint) == 4
    assert token not in repr(api_key)


def test_a5_a_scope_that_is_missing_is_refused(store: Store, account: Account) -> None:
    with store.transaction() as tx:
        reader = create_api_key(tx, account.id, "reader", [Scope.READ])
        admin = create_api_key(tx, account.id, "admin", [Scope.ADMIN])
    principal = admit(store, bearer(reader))
    principal.require(Scope.READ)
    for scope in (Scope.SUBMIT, Scope.ADMIN):
        with pytest.raises(ForbiddenError, match=scope.value):
            principal.require(scope)
    for scope in Scope:
        admit(store, bearer(admin)).require(scope)


class NoStore:
    """A session that must not be asked."""

    def __getattr__(self, name: str) -> None:
        raise AssertionError(f"the store was asked ({name})")


def test_a3_a_mistyped_key_is_refused_without_asking_the_store(api_key: NewApiKey) -> None:
    token = api_key.value.reveal()
    mistyped = token[:10] + ("a" if token[10] != "a" else "b") + token[11:]
    with pytest.raises(UnauthorizedError):
        authenticate(NoStore(), f"Bearer {mistyped}")


def test_a3_a_key_that_was_never_made_reads_like_any_other_refusal(
    store: Store, account: Account
) -> None:
    with store.transaction() as tx:
        unmade = create_api_key(tx, account.id, "unmade", [Scope.READ])
        tx.rollback()
    with pytest.raises(UnauthorizedError) as never_made:
        admit(store, bearer(unmade))
    with pytest.raises(UnauthorizedError) as malformed:
        admit(store, "Bearer nonsense")
    assert never_made.value.message == malformed.value.message


def test_a4_a_revoked_key_is_refused_by_every_process_at_once(
    store: Store, account: Account, api_key: NewApiKey
) -> None:
    elsewhere = Store(str(store.url.render_as_string(hide_password=False)))
    assert admit(elsewhere, bearer(api_key))
    for _ in range(2):
        with store.transaction() as tx:
            revoke_api_key(tx, account.id, api_key.id)
    for other in (store, elsewhere):
        with pytest.raises(UnauthorizedError):
            admit(other, bearer(api_key))
    elsewhere.close()


def test_a1_nobody_revokes_another_accounts_key(
    store: Store, vault: Vault, api_key: NewApiKey
) -> None:
    with store.transaction() as tx:
        other = make_account(tx, vault, "two")
        with pytest.raises(NotFoundError):
            revoke_api_key(tx, other.id, api_key.id)
        with pytest.raises(NotFoundError):
            revoke_api_key(tx, other.id, "key_none")
    assert admit(store, bearer(api_key))


def test_an_expired_key_is_refused(store: Store, account: Account) -> None:
    with store.transaction() as tx:
        now = store.now(tx)
        past, future = now - timedelta(seconds=1), now + timedelta(hours=1)
        expired = create_api_key(tx, account.id, "old", [Scope.READ], past)
        good = create_api_key(tx, account.id, "new", [Scope.READ], future)
    assert admit(store, bearer(good))
    with pytest.raises(UnauthorizedError):
        admit(store, bearer(expired))


@pytest.mark.parametrize(
    "shape",
    ["{}", "Bearer  {}", "Bearer {} ", "Bearer {}\x00", "Basic {}",
     "Bearer {0}, Bearer {0}", "Bearer", "Bearer ", ""],
)  # fmt: skip
def test_a6_a_header_that_is_not_just_a_bearer_key_is_refused(
    api_key: NewApiKey, shape: str
) -> None:
    with pytest.raises(UnauthorizedError):
        authenticate(NoStore(), shape.format(api_key.value.reveal()))


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
def test_a6_a_scheme_is_known_in_any_case(store: Store, api_key: NewApiKey, scheme: str) -> None:
    assert admit(store, f"{scheme} {api_key.value.reveal()}").api_key_id == api_key.id


@pytest.mark.parametrize("header", [None, "Bearer " + "o" * 1_000_000, "\ud800"])
def test_a6_no_header_and_a_monstrous_one_are_refused(header: str | None) -> None:
    with pytest.raises(UnauthorizedError):
        authenticate(NoStore(), header)


def test_the_last_use_is_kept_to_the_minute(store: Store, api_key: NewApiKey) -> None:
    def last_used(to: str | None = None) -> object:
        with store.transaction() as tx:
            if to is not None:
                tx.execute(store.sql(f"UPDATE api_key SET last_used_at = {to}"))
            return tx.exec(select(ApiKey.last_used_at)).one()

    assert admit(store, bearer(api_key)).is_note_due
    note_use(store, api_key.id)
    noted = last_used()
    assert noted is not None
    assert not admit(store, bearer(api_key)).is_note_due
    note_use(store, api_key.id)  # of two requests at once the second one writes nothing
    assert last_used() == noted
    aged = last_used("{after_ms(-61000)}")
    assert admit(store, bearer(api_key)).is_note_due
    note_use(store, api_key.id)
    assert last_used() != aged


def test_that_the_store_is_too_busy_to_note_a_use_is_no_error(
    store: Store, api_key: NewApiKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    def busy(_commit: object) -> None:
        raise UnavailableError

    monkeypatch.setattr(store, "transaction", busy)
    note_use(store, api_key.id)
    assert admit(store, bearer(api_key)).is_note_due


def test_a_disabled_account_is_shut_out_at_once_and_let_in_again(
    store: Store, account: Account, api_key: NewApiKey
) -> None:
    for _ in range(2):
        with store.transaction() as tx:
            set_disabled(tx, account.id, disabled=True)
    with pytest.raises(UnauthorizedError):
        admit(store, bearer(api_key))
    with store.transaction() as tx:
        set_disabled(tx, account.id, disabled=False)
    assert admit(store, bearer(api_key))
    with store.read() as session:
        told = [(one.action, one.actor) for one in actions_of(session, account.id)]
    assert told == [
        ("account.enabled", "operator"),
        ("account.disabled", "operator"),
        ("api_key.created", "operator"),
        ("account.created", "operator"),
    ]


def test_an_account_has_a_webhook_secret_of_its_own(
    store: Store, vault: Vault, account: Account
) -> None:
    with store.read() as session:
        secret = webhook_secret_of(session, vault, account.id)
        again = webhook_secret_of(session, vault, account.id)
        with pytest.raises(NotFoundError):
            webhook_secret_of(session, vault, "acct_none")
    assert check_secret(secret.reveal()).reveal() == again.reveal()
    assert secret.reveal() not in repr(account)


def test_an_empty_store_gets_a_local_account_with_a_key_in_a_private_file(
    store: Store, vault: Vault, tmp_path: Path
) -> None:
    data_dir = tmp_path / "data"
    made = ensure_local_account(store, vault, data_dir)
    again = ensure_local_account(store, vault, data_dir)
    file = data_dir / API_KEY_FILE
    assert (made.was_made, again.was_made) == (True, False)
    assert made.account_id == again.account_id
    assert made.api_key is not None
    assert again.api_key is not None
    assert file.read_text() == made.api_key.reveal() + "\n" == again.api_key.reveal() + "\n"
    assert file.stat().st_mode & 0o777 == 0o600
    admit(store, f"Bearer {made.api_key.reveal()}").require(Scope.ADMIN)
    assert made.api_key.reveal() not in repr(made)


def test_a_local_account_whose_file_was_lost_is_still_the_one(
    store: Store, vault: Vault, tmp_path: Path
) -> None:
    made = ensure_local_account(store, vault, tmp_path)
    (tmp_path / API_KEY_FILE).unlink()
    again = ensure_local_account(store, vault, tmp_path)
    assert (again.account_id, again.api_key, again.was_made) == (made.account_id, None, False)


def test_a_new_store_replaces_the_key_file_of_an_old_one(
    store: Store, vault: Vault, tmp_path: Path
) -> None:
    (tmp_path / API_KEY_FILE).write_text("ovn_of_a_store_that_is_gone\n")
    made = ensure_local_account(store, vault, tmp_path)
    assert made.api_key is not None
    assert (tmp_path / API_KEY_FILE).read_text() == made.api_key.reveal() + "\n"


def test_processes_that_start_together_make_one_local_account(
    store: Store, vault: Vault, tmp_path: Path
) -> None:
    run_at_once(lambda _: ensure_local_account(store, vault, tmp_path), 4, threads=4)
    with store.read() as session:
        assert session.connection().execute(sa.text("SELECT count(*) FROM account")).scalar() == 1
    admit(store, f"Bearer {(tmp_path / API_KEY_FILE).read_text().strip()}")
