"""Provider keys and lanes, as tests set and look them up."""

from sqlmodel import col, select

from app.db import Store
from app.models import Account, Lane
from app.settings import load_settings
from app.vault.master import Vault
from app.vault.provider_keys import Credential, KeySetting, open_credential, set_provider_key


def set_key(store: Store, vault: Vault, account: Account, setting: KeySetting) -> Lane:
    """Set a provider key."""
    with store.transaction() as tx:
        return set_provider_key(tx, vault, account, setting)


def open_lane(store: Store, vault: Vault, lane_id: str) -> Credential:
    """What a call through the lane is given."""
    with store.read() as session:
        return open_credential(session, vault, load_settings(), lane_id)


def lanes_of(store: Store, account_id: str | None) -> dict[str, Lane]:
    """The lanes of an account, or of the platform, by provider."""
    with store.read() as session:
        rows = session.exec(select(Lane).where(col(Lane.account_id) == account_id)).all()
    return {lane.provider: lane for lane in rows}
