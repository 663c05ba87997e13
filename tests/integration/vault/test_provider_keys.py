"""Provider keys in the store: sealed, bound to their row, gone when deleted, on both stores."""

import pytest
import sqlalchemy as sa
from sqlmodel import col, select

from app.db import Store
from app.domain.errors import InvalidRequestError, NotFoundError, SealError
from app.domain.secret import Secret
from app.domain.states import LaneState
from app.models import Account, Lane, ProviderKey
from app.pipeline.accounts import make_account
from app.vault.lanes import LaneLimits
from app.vault.master import Vault
from app.vault.provider_keys import (
    KeySetting,
    delete_provider_key,
    list_provider_keys,
    note_key_used,
)
from tests.factories.lanes import lanes_of, open_lane, set_key
from tests.factories.racing import run_at_once

CANARY = "sk-canary-77f0-tail"
LOCAL = "http://localhost:8080/v1"


def test_a_key_that_was_set_opens_for_a_call(store: Store, vault: Vault, account: Account) -> None:
    lane = set_key(store, vault, account, KeySetting("openai", Secret(CANARY)))
    credential = open_lane(store, vault, lane.id)
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
    set_key(store, vault, account, KeySetting("openai", Secret(CANARY), limits=limits))
    set_key(store, vault, account, KeySetting("groq", Secret("short")))
    set_key(store, vault, account, KeySetting("custom:local", None, f" {LOCAL}/ "))
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
    set_key(store, vault, account, KeySetting("openai", Secret(CANARY)))
    with store.read() as session:
        for table in sa.inspect(session.connection()).get_table_names():
            rows = session.connection().execute(sa.text(f'SELECT * FROM "{table}"')).all()
            assert CANARY not in repr(rows)


def test_a_key_set_again_replaces_the_old_one_and_keeps_its_lane(
    store: Store, vault: Vault, account: Account
) -> None:
    limits = LaneLimits(rpm=60)
    first = set_key(store, vault, account, KeySetting("openai", Secret("sk-old"), limits=limits))
    second = set_key(store, vault, account, KeySetting("openai", Secret(CANARY)))
    assert second.id == first.id
    assert second.rpm is None
    assert open_lane(store, vault, first.id).secret.reveal() == CANARY
    with store.read() as session:
        assert len(session.exec(select(ProviderKey)).all()) == 1


def test_keys_set_at_once_leave_one_lane_and_one_key(
    store: Store, vault: Vault, account: Account
) -> None:
    def set_one(number: int) -> str:
        return set_key(store, vault, account, KeySetting("openai", Secret(f"sk-{number}"))).id

    lanes = run_at_once(set_one, 8, threads=4)
    assert len(set(lanes)) == 1
    assert open_lane(store, vault, lanes[0]).secret is not None
    with store.read() as session:
        assert len(session.exec(select(ProviderKey)).all()) == 1


def test_p19_setting_a_key_opens_a_parked_lane(
    store: Store, vault: Vault, account: Account
) -> None:
    lane = set_key(store, vault, account, KeySetting("openai", Secret("sk-bad")))
    with store.transaction() as tx:
        tx.execute(
            sa.update(Lane)
            .where(col(Lane.id) == lane.id)
            .values(state="parked", parked_reason="401", parked_at=store.now(tx))
        )
    with store.read() as session:
        [view] = list_provider_keys(session, account.id)
    assert (view.state, view.parked_reason) == (LaneState.PARKED, "401")
    assert open_lane(store, vault, lane.id).secret is not None
    lane = set_key(store, vault, account, KeySetting("openai", Secret(CANARY)))
    assert (lane.state, lane.parked_reason, lane.parked_at) == ("open", None, None)


def test_a_custom_server_may_have_no_key(store: Store, vault: Vault, account: Account) -> None:
    lane = set_key(store, vault, account, KeySetting("custom:local", None, LOCAL))
    credential = open_lane(store, vault, lane.id)
    assert (credential.secret, credential.base_url) == (None, LOCAL)
    set_key(store, vault, account, KeySetting("custom:local", Secret(CANARY), LOCAL))
    assert open_lane(store, vault, lane.id).secret is not None


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
        set_key(store, vault, account, setting)
    assert caught.value.param == param
    assert set(lanes_of(store, account.id)) == {"simulated"}


def test_k8_a_deleted_key_opens_no_more_and_its_lane_is_closed(
    store: Store, vault: Vault, account: Account
) -> None:
    lane = set_key(store, vault, account, KeySetting("custom:local", Secret(CANARY), LOCAL))
    with store.transaction() as tx:
        assert delete_provider_key(tx, account.id, "custom:local") == lane.id
    with pytest.raises(NotFoundError):
        open_lane(store, vault, lane.id)
    with store.read() as session:
        assert session.exec(select(ProviderKey)).all() == []
        assert list_provider_keys(session, account.id) == []
    closed = lanes_of(store, account.id)["custom:local"]
    assert (closed.state, closed.base_url) == ("closed", None)
    with store.transaction() as tx, pytest.raises(NotFoundError):
        delete_provider_key(tx, account.id, "custom:local")
    again = set_key(store, vault, account, KeySetting("custom:local", None, LOCAL))
    assert (again.id, again.state) == (lane.id, "open")


def test_a1_another_accounts_key_is_as_if_it_were_not_there(
    store: Store, vault: Vault, account: Account
) -> None:
    set_key(store, vault, account, KeySetting("openai", Secret(CANARY)))
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
    lane = set_key(store, vault, account, KeySetting("openai", Secret(CANARY)))
    with store.transaction() as tx:
        other = make_account(tx, vault, "two")
    stolen = set_key(store, vault, other, KeySetting("openai", Secret("sk-other")))
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
        open_lane(store, vault, stolen.id)
    with store.transaction() as tx:
        tx.execute(
            sa.text("UPDATE account SET data_key_wrapped = :wrapped WHERE id = :id"),
            {"wrapped": account.data_key_wrapped, "id": other.id},
        )
    with pytest.raises(SealError, match=other.id):
        open_lane(store, vault, stolen.id)


def test_k5_a_damaged_ciphertext_is_named_by_its_id_alone(
    store: Store, vault: Vault, account: Account
) -> None:
    lane = set_key(store, vault, account, KeySetting("openai", Secret(CANARY)))
    with store.transaction() as tx:
        tx.execute(sa.text("UPDATE provider_key SET sealed = substr(sealed, 1, 100)"))
        key_id = tx.exec(select(ProviderKey.id)).one()
    with pytest.raises(SealError) as caught:
        open_lane(store, vault, lane.id)
    assert caught.value.message == f"what is sealed in {key_id} does not open there"


def test_a_lane_of_a_keyed_provider_without_its_key_is_never_used_without_one(
    store: Store, vault: Vault, account: Account
) -> None:
    lane = set_key(store, vault, account, KeySetting("openai", Secret(CANARY)))
    with store.transaction() as tx:
        tx.execute(sa.delete(ProviderKey))
    with pytest.raises(NotFoundError):
        open_lane(store, vault, lane.id)
    with pytest.raises(NotFoundError):
        open_lane(store, vault, "lane_none")


def test_the_last_use_of_a_key_is_kept_to_the_minute(
    store: Store, vault: Vault, account: Account
) -> None:
    lane = set_key(store, vault, account, KeySetting("openai", Secret(CANARY)))
    with store.transaction() as tx:
        first = store.now(tx)
        note_key_used(tx, lane.id, first)
        note_key_used(tx, lane.id, first.replace(microsecond=first.microsecond // 2))
    with store.read() as session:
        assert list_provider_keys(session, account.id)[0].last_used_at == first
