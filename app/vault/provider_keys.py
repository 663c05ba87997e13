"""Provider keys: set, shown by their last characters, deleted, and opened to make a call."""

import re
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import cast

from sqlalchemy import delete, or_, update
from sqlmodel import Session, col, select

from app.db import Store, Tx
from app.domain.errors import InvalidRequestError, NotFoundError
from app.domain.ids import Prefix, new_id
from app.domain.prompt import PROVIDER_PATTERN
from app.domain.secret import Secret
from app.domain.states import LaneState
from app.models import Account, Lane, ProviderKey
from app.settings import Settings
from app.vault.lanes import SIMULATED, LaneLimits, open_account_lane
from app.vault.master import Binding, Vault

KEY_CHARS_MAX = 4096
CUSTOM = "custom:"
HINT_CHARS = 4
#: A shorter key is not hinted at: four characters would be too much of it.
_HINTED_CHARS_MIN = 12
_KEY = re.compile(r"[!-~]+", re.ASCII)
_USED_NOTE_INTERVAL = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class KeySetting:
    """What an account sets for a provider: its key, where to, and how fast."""

    provider: str
    secret: Secret | None
    base_url: str | None = None
    limits: LaneLimits = field(default_factory=LaneLimits)


@dataclass(frozen=True, slots=True)
class ProviderKeyView:
    """A provider's setting, as its owner may see it again. Keyless servers have no key id."""

    provider: str
    lane_id: str
    key_id: str | None
    hint: str | None
    base_url: str | None
    created_at: datetime
    last_used_at: datetime | None
    limits: LaneLimits
    state: LaneState
    parked_reason: str | None


@dataclass(frozen=True, slots=True)
class Credential:
    """What a call through a lane needs to be let in. Without a secret the server asks for none."""

    lane_id: str
    provider: str
    base_url: str | None
    secret: Secret | None = field(repr=False)


def clean_key(text: str) -> Secret:
    """The key as it can be sent in a header, without the spaces around it.

    Raises:
        InvalidRequestError: it is no key; the message does not repeat it.
    """
    key = text.strip()
    if not key:
        raise InvalidRequestError("api_key: it is empty", param="api_key")
    if len(key) > KEY_CHARS_MAX:
        raise InvalidRequestError(
            f"api_key: it is longer than {KEY_CHARS_MAX} characters", param="api_key"
        )
    if not _KEY.fullmatch(key):
        raise InvalidRequestError(
            "api_key: it holds a space, a line break, a curly quote or another character that no "
            "key has; copy it again",
            param="api_key",
        )
    return Secret(key)


def set_provider_key(tx: Tx, vault: Vault, account: Account, setting: KeySetting) -> Lane:
    """Set all of a provider's setting, and open its lane. What is not given is unset.

    The caller has checked the base URL's address.

    Raises:
        InvalidRequestError: the provider needs no key, or a key or base URL is missing.
    """
    _check(setting)
    base_url = setting.base_url.strip().rstrip("/") if setting.base_url else None
    lane = open_account_lane(tx, account.id, setting.provider, base_url, setting.limits)
    tx.run(delete(ProviderKey).where(col(ProviderKey.lane_id) == lane.id))
    if setting.secret is not None:
        key_id = new_id(Prefix.PROVIDER_KEY)
        data_key = vault.data_key(account.id, account.data_key_wrapped, account.data_key_kid)
        binding = _binding(account.id, setting.provider, key_id)
        tx.add(
            ProviderKey(
                id=key_id,
                lane_id=lane.id,
                account_id=account.id,
                provider=setting.provider,
                sealed=data_key.seal(binding, setting.secret),
                hint=_hint_of(setting.secret),
                created_at=Store.now(tx),
            )
        )
        tx.flush()
    return lane


def _check(setting: KeySetting) -> None:
    provider, is_custom = setting.provider, setting.provider.startswith(CUSTOM)
    if not re.fullmatch(PROVIDER_PATTERN, provider):
        raise InvalidRequestError("provider: that is not a provider's name", param="provider")
    if provider == SIMULATED:
        raise InvalidRequestError("provider: simulated needs no key", param="provider")
    if setting.secret is None and not is_custom:
        raise InvalidRequestError(f"api_key: {provider} needs one", param="api_key")
    if not setting.base_url and is_custom:
        raise InvalidRequestError(
            "base_url: a custom server needs one, e.g. http://localhost:8080/v1", param="base_url"
        )
    setting.limits.check()


def list_provider_keys(session: Session, account_id: str) -> list[ProviderKeyView]:
    """The account's settings, by provider's name. No key is opened."""
    rows = session.exec(
        select(Lane, ProviderKey)
        .join(ProviderKey, col(ProviderKey.lane_id) == col(Lane.id), isouter=True)
        .where(col(Lane.account_id) == account_id)
        .where(col(Lane.state) != LaneState.CLOSED.value, col(Lane.provider) != SIMULATED)
        .order_by(col(Lane.provider))
    ).all()
    return [_view(lane, key) for lane, key in rows]


def _view(lane: Lane, key: ProviderKey | None) -> ProviderKeyView:
    return ProviderKeyView(
        provider=lane.provider,
        lane_id=lane.id,
        key_id=key.id if key else None,
        hint=key.hint if key else None,
        base_url=lane.base_url,
        created_at=key.created_at if key else lane.created_at,
        last_used_at=key.last_used_at if key else None,
        limits=LaneLimits(lane.rpm, lane.tpm, lane.in_flight),
        state=LaneState(lane.state),
        parked_reason=lane.parked_reason,
    )


def delete_provider_key(tx: Tx, account_id: str, provider: str) -> str:
    """Delete the account's key for a provider and close its lane; answers the lane's id.

    Raises:
        NotFoundError: there is none.
    """
    lane_id: str | None = tx.run(
        update(Lane)
        .where(col(Lane.account_id) == account_id, col(Lane.provider) == provider)
        .where(col(Lane.state) != LaneState.CLOSED.value, col(Lane.provider) != SIMULATED)
        .values(
            state=LaneState.CLOSED.value,
            base_url=None,
            parked_reason=None,
            parked_at=None,
            parked_until=None,
        )
        .returning(col(Lane.id))
    ).scalar_one_or_none()
    if lane_id is None:
        raise NotFoundError(f"there is no key for {provider!r}")
    tx.run(delete(ProviderKey).where(col(ProviderKey.lane_id) == lane_id))
    return lane_id


def open_credential(session: Session, vault: Vault, settings: Settings, lane_id: str) -> Credential:
    """What a call through the lane needs now. A key that was deleted before is never answered.

    Raises:
        NotFoundError: the lane has no credential (any more).
        SealError: the key does not open.
    """
    row = session.exec(
        select(Lane, ProviderKey, Account)
        .join(ProviderKey, col(ProviderKey.lane_id) == col(Lane.id), isouter=True)
        .join(Account, col(Account.id) == col(Lane.account_id), isouter=True)
        .where(col(Lane.id) == lane_id, col(Lane.state) != LaneState.CLOSED.value)
    ).first()
    if row is None:
        raise NotFoundError(f"{lane_id} has no key")
    # An outer join's answers, which its types do not tell.
    lane, key, account = cast("tuple[Lane, ProviderKey | None, Account | None]", row)
    if lane.account_id is None:
        return _platform_credential(lane, settings)
    if key is None or account is None:
        return _keyless(lane)
    data_key = vault.data_key(account.id, account.data_key_wrapped, account.data_key_kid)
    binding = _binding(lane.account_id, lane.provider, key.id)
    return Credential(lane.id, lane.provider, lane.base_url, data_key.open(binding, key.sealed))


def _platform_credential(lane: Lane, settings: Settings) -> Credential:
    found = settings.platform_credentials.get(lane.provider)
    if found is None:
        raise NotFoundError(f"the platform has no key for {lane.provider}")
    secret = Secret(found.secret.get_secret_value())
    return Credential(lane.id, lane.provider, found.base_url, secret)


def _keyless(lane: Lane) -> Credential:
    if lane.provider != SIMULATED and not lane.provider.startswith(CUSTOM):
        raise NotFoundError(f"{lane.id} has no key")
    return Credential(lane.id, lane.provider, lane.base_url, None)


def note_key_used(tx: Tx, lane_id: str, now: datetime) -> None:
    """Keep when the lane's key was last used, to the minute."""
    tx.run(
        update(ProviderKey)
        .where(col(ProviderKey.lane_id) == lane_id)
        .where(
            or_(
                col(ProviderKey.last_used_at).is_(None),
                col(ProviderKey.last_used_at) < now - _USED_NOTE_INTERVAL,
            )
        )
        .values(last_used_at=now)
    )


def _binding(account_id: str, provider: str, key_id: str) -> Binding:
    return Binding(account_id, f"provider_key:{provider}", key_id)


def _hint_of(secret: Secret) -> str:
    key = secret.reveal()
    return key[-HINT_CHARS:] if len(key) >= _HINTED_CHARS_MIN else ""
