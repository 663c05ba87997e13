"""Lanes that need no provider key of an account, and the master key that a store needs."""

import pytest

from app.db import Store
from app.domain.errors import NotFoundError, SetupError
from app.models import Account, Lane
from app.settings import load_settings
from app.vault.custody import check_vault
from app.vault.lanes import ensure_platform_lanes, ensure_simulated_lane
from app.vault.master import Vault, new_fernet_key
from tests.factories.lanes import lanes_of, open_lane

CANARY = "sk-canary-77f0-tail"
LOCAL = "http://localhost:8080/v1"


@pytest.mark.usefixtures("account")
def test_k7_a_store_whose_master_key_is_missing_is_not_started_on(
    store: Store, vault: Vault
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
    assert open_lane(store, vault, lane.id).secret is None


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
    credential = open_lane(store, vault, lane.id)
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
        open_lane(store, vault, lane.id)
    assert boot().state == "closed"
    assert lanes_of(store, account.id)["simulated"].state == "open"
    monkeypatch.setenv("OVERNIGHT_PLATFORM_GROQ_API_KEY", CANARY)
    assert (boot().id, boot().state) == (lane.id, "open")
