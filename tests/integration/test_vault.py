"""Provider keys in the store: sealed, bound to their row, gone when deleted, on both stores."""

from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlmodel import col, select

from app.db import Store
from app.domain.errors import InvalidRequestError, NotFoundError, SealError, SetupError
from app.domain.secret import Secret
from app.domain.states import LaneState
from app.models import Account, Lane, ProviderKey
from app.pipeline.accounts import make_account
from app.settings import Settings, load_settings
from app.vault.custody import check_vault
from app.vault.lanes import LaneLimits, ensure_platform_lanes, ensure_simulated_lane
from app.vault.master import Vault, new_fernet_key
from app.vault.provider_keys import (
    Credential,
    KeySetting,
    delete_provider_key,
    list_provider_keys,
    note_key_used,
    open_credential,
    set_provider_key,
)

CANARY = "sk-canary-77f0-tail"
LOCAL = "http://localhost:8080/v1"


@pytest.fixture
def vault() -> Vault:
    return Vault(new_fernet_key())


@pytest.fixture
def settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Settings:
    monkeypatch.setenv("OVERNIGHT_DATA_DIR", str(tmp_path))
    return load_settings()


@pytest.fixture
def account(store: Store, vault: Vault) -> Account:
    with store.transaction() as tx:
        return make_account(tx, vault, "one")


def put(store: Store, vault: Vault, account: Account, setting: KeySetting) -> Lane:
    with store.transaction() as tx:
        return set_provider_key(tx, vault, account, setting)


def opened(store: Store, vault: Vault, lane_id: str) -> Credential:
    with store.read() as session:
        return open_credential(session, vault, load_settings(), lane_id)


def lanes_of(store: Store, account_id: str | None) -> dict[str, Lane]:
    with store.read() as session:
        rows = session.exec(select(Lane).where(col(Lane.account_id) == account_id)).all()
    return {lane.provider: lane for lane in rows}


def test_a_key_that_was_set_opens_for_a_call(store: Store, vault: Vault, account: Account) -> None:
    lane = put(store, vault, account, KeySetting("openai", Secret(CANARY)))
    credential = opened(store, vault, lane.id)
    assert credential.secret is not None
    assert credential.secret.reveal() == CANARY
    assert (credential.lane_id, credential.provider, credential.base_url) == (
        lane.id, "openai", None,
    )  # fmt: skip
    assert (lane.state, lane.billed, lane.account_id) == ("open", "byok", account.id)


def test_k13_a_key_is_listed_by_its_last_characters(
    store: Store, vault: Vault, account: Account
) -> None:
    limits = LaneLimits(rpm=60, in_flight=4)
    put(store, vault, account, KeySetting("openai", Secret(CANARY), limits=limits))
    put(store, vault, account, KeySetting("groq", Secret("short")))
    put(store, vault, account, KeySetting("custom:local", None, f" {LOCAL}/ "))
    with store.read() as session:
        views = list_provider_keys(session, account.id)
    assert [(view.provider, view.hint, view.base_url) for view in views] == [
        ("custom:local", None, LOCAL),
        ("groq", "", None),
        ("openai", "tail", None),
    ]
    assert views[2].limits == limits
    assert views[2].state is LaneState.OPEN
    assert views[2].key_id is not None
    assert views[0].key_id is None
    assert views[2].last_used_at is None
    assert views[2].created_at.tzinfo is not None
    assert CANARY not in repr(views)


def test_k1_the_store_holds_only_ciphertext(store: Store, vault: Vault, account: Account) -> None:
    put(store, vault, account, KeySetting("openai", Secret(CANARY)))
    with store.read() as session:
        for table in sa.inspect(session.connection()).get_table_names():
            rows = session.connection().execute(sa.text(f'SELECT * FROM "{table}"')).all()
            assert CANARY not in repr(rows)


def test_a_key_set_again_replaces_the_old_one_and_keeps_its_lane(
    store: Store, vault: Vault, account: Account
) -> None:
    limits = LaneLimits(rpm=60)
    first = put(store, vault, account, KeySetting("openai", Secret("sk-old"), limits=limits))
    second = put(store, vault, account, KeySetting("openai", Secret(CANARY)))
    assert second.id == first.id
    assert second.rpm is None
    assert opened(store, vault, first.id).secret.reveal() == CANARY
    with store.read() as session:
        assert len(session.exec(select(ProviderKey)).all()) == 1


def test_p19_setting_a_key_opens_a_parked_lane(
    store: Store, vault: Vault, account: Account
) -> None:
    lane = put(store, vault, account, KeySetting("openai", Secret("sk-bad")))
    with store.transaction() as tx:
        tx.execute(
            sa.update(Lane)
            .where(col(Lane.id) == lane.id)
            .values(state="parked", parked_reason="401", parked_at=store.now(tx))
        )
    with store.read() as session:
        [view] = list_provider_keys(session, account.id)
    assert (view.state, view.parked_reason) == (LaneState.PARKED, "401")
    assert opened(store, vault, lane.id).secret is not None
    lane = put(store, vault, account, KeySetting("openai", Secret(CANARY)))
    assert (lane.state, lane.parked_reason, lane.parked_at) == ("open", None, None)


def test_a_custom_server_may_have_no_key(store: Store, vault: Vault, account: Account) -> None:
    lane = put(store, vault, account, KeySetting("custom:local", None, LOCAL))
    credential = opened(store, vault, lane.id)
    assert (credential.secret, credential.base_url) == (None, LOCAL)
    put(store, vault, account, KeySetting("custom:local", Secret(CANARY), LOCAL))
    assert opened(store, vault, lane.id).secret is not None


@pytest.mark.parametrize(
    ("setting", "param"),
    [
        (KeySetting("openai", None), "api_key"),
        (KeySetting("custom:local", None), "base_url"),
        (KeySetting("custom:local", None, ""), "base_url"),
        (KeySetting("simulated", Secret(CANARY)), "provider"),
        (KeySetting("OpenAI", Secret(CANARY)), "provider"),
        (KeySetting("openai\n", Secret(CANARY)), "provider"),
        (KeySetting("custom:", Secret(CANARY), LOCAL), "provider"),
        (KeySetting("openai", Secret(CANARY), limits=LaneLimits(tpm=0)), "limits.tpm"),
    ],
)
def test_a_setting_that_cannot_work_is_refused_and_nothing_is_stored(
    store: Store, vault: Vault, account: Account, setting: KeySetting, param: str
) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        put(store, vault, account, setting)
    assert caught.value.param == param
    assert set(lanes_of(store, account.id)) == {"simulated"}


def test_k8_a_deleted_key_opens_no_more_and_its_lane_is_closed(
    store: Store, vault: Vault, account: Account
) -> None:
    lane = put(store, vault, account, KeySetting("custom:local", Secret(CANARY), LOCAL))
    with store.transaction() as tx:
        assert delete_provider_key(tx, account.id, "custom:local") == lane.id
    with pytest.raises(NotFoundError):
        opened(store, vault, lane.id)
    with store.read() as session:
        assert session.exec(select(ProviderKey)).all() == []
        assert list_provider_keys(session, account.id) == []
    closed = lanes_of(store, account.id)["custom:local"]
    assert (closed.state, closed.base_url) == ("closed", None)
    with store.transaction() as tx, pytest.raises(NotFoundError):
        delete_provider_key(tx, account.id, "custom:local")
    again = put(store, vault, account, KeySetting("custom:local", None, LOCAL))
    assert (again.id, again.state) == (lane.id, "open")


def test_a1_another_accounts_key_is_as_if_it_were_not_there(
    store: Store, vault: Vault, account: Account
) -> None:
    put(store, vault, account, KeySetting("openai", Secret(CANARY)))
    with store.transaction() as tx:
        other = make_account(tx, vault, "two")
        with pytest.raises(NotFoundError, match="there is no key for 'openai'"):
            delete_provider_key(tx, other.id, "openai")
        assert list_provider_keys(tx, other.id) == []
        with pytest.raises(NotFoundError, match="there is no key for 'simulated'"):
            delete_provider_key(tx, account.id, "simulated")
    assert lanes_of(store, account.id)["openai"].state == "open"


def test_k4_a_ciphertext_copied_to_another_accounts_row_does_not_open(
    store: Store, vault: Vault, account: Account
) -> None:
    lane = put(store, vault, account, KeySetting("openai", Secret(CANARY)))
    with store.transaction() as tx:
        other = make_account(tx, vault, "two")
    stolen = put(store, vault, other, KeySetting("openai", Secret("sk-other")))
    with store.transaction() as tx:
        tx.execute(
            sa.text(
                "UPDATE provider_key SET sealed ="
                " (SELECT sealed FROM provider_key WHERE lane_id = :from_lane)"
                " WHERE lane_id = :to_lane"
            ),
            {"from_lane": lane.id, "to_lane": stolen.id},
        )
        key_id = tx.exec(select(ProviderKey.id).where(ProviderKey.lane_id == stolen.id)).one()
    with pytest.raises(SealError, match=key_id):
        opened(store, vault, stolen.id)
    with store.transaction() as tx:
        tx.execute(
            sa.text("UPDATE account SET data_key_wrapped = :wrapped WHERE id = :id"),
            {"wrapped": account.data_key_wrapped, "id": other.id},
        )
    with pytest.raises(SealError, match=other.id):
        opened(store, vault, stolen.id)


def test_k5_a_damaged_ciphertext_is_named_by_its_id_alone(
    store: Store, vault: Vault, account: Account
) -> None:
    lane = put(store, vault, account, KeySetting("openai", Secret(CANARY)))
    with store.transaction() as tx:
        tx.execute(sa.text("UPDATE provider_key SET sealed = substr(sealed, 1, 100)"))
        key_id = tx.exec(select(ProviderKey.id)).one()
    with pytest.raises(SealError) as caught:
        opened(store, vault, lane.id)
    assert caught.value.message == f"what is sealed in {key_id} does not open there"


def test_a_lane_of_a_keyed_provider_without_its_key_is_never_used_without_one(
    store: Store, vault: Vault, account: Account
) -> None:
    lane = put(store, vault, account, KeySetting("openai", Secret(CANARY)))
    with store.transaction() as tx:
        tx.execute(sa.delete(ProviderKey))
    with pytest.raises(NotFoundError):
        opened(store, vault, lane.id)
    with pytest.raises(NotFoundError):
        opened(store, vault, "lane_none")


def test_k7_a_store_whose_master_key_is_missing_is_not_started_on(
    store: Store, vault: Vault, account: Account
) -> None:
    check_vault(store, vault)
    wrong = Vault(new_fernet_key())
    with pytest.raises(SetupError, match=f"not here: {vault.kids[0]} .here: {wrong.kids[0]};"):
        check_vault(store, wrong)


def test_an_empty_store_starts_with_any_master_key(store: Store, vault: Vault) -> None:
    check_vault(store, vault)


def test_the_simulators_lane_is_made_once_and_needs_no_key(
    store: Store, vault: Vault, account: Account
) -> None:
    with store.transaction() as tx:
        ensure_simulated_lane(tx, account.id)
    lane = lanes_of(store, account.id)["simulated"]
    assert (lane.billed, lane.state) == ("byok", "open")
    assert opened(store, vault, lane.id).secret is None


def test_platform_credentials_make_lanes_that_cost_credits(
    store: Store, vault: Vault, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OVERNIGHT_PLATFORM_OPENAI_API_KEY", CANARY)
    monkeypatch.setenv("OVERNIGHT_PLATFORM_OPENAI_BASE_URL", LOCAL)
    for _ in range(2):
        with store.transaction() as tx:
            ensure_platform_lanes(tx, load_settings())
    [(provider, lane)] = lanes_of(store, None).items()
    assert (provider, lane.billed, lane.base_url) == ("openai", "credits", LOCAL)
    credential = opened(store, vault, lane.id)
    assert credential.secret is not None
    assert (credential.secret.reveal(), credential.base_url) == (CANARY, LOCAL)
    assert CANARY not in repr(credential)


def test_a_platform_credential_that_is_gone_closes_its_lane_and_one_that_is_back_opens_it(
    store: Store, vault: Vault, account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    def boot() -> Lane:
        with store.transaction() as tx:
            ensure_platform_lanes(tx, load_settings())
        return lanes_of(store, None)["groq"]

    monkeypatch.setenv("OVERNIGHT_PLATFORM_GROQ_API_KEY", CANARY)
    lane = boot()
    monkeypatch.delenv("OVERNIGHT_PLATFORM_GROQ_API_KEY")
    with pytest.raises(NotFoundError):
        opened(store, vault, lane.id)
    assert boot().state == "closed"
    assert lanes_of(store, account.id)["simulated"].state == "open"
    monkeypatch.setenv("OVERNIGHT_PLATFORM_GROQ_API_KEY", CANARY)
    assert (boot().id, boot().state) == (lane.id, "open")


def test_the_last_use_of_a_key_is_kept_to_the_minute(
    store: Store, vault: Vault, account: Account
) -> None:
    lane = put(store, vault, account, KeySetting("openai", Secret(CANARY)))
    with store.transaction() as tx:
        first = store.now(tx)
        note_key_used(tx, lane.id, first)
        note_key_used(tx, lane.id, first.replace(microsecond=first.microsecond // 2))
    with store.read() as session:
        assert list_provider_keys(session, account.id)[0].last_used_at == first
