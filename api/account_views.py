"""Views of what belongs to an account itself: its limits, its API keys, its audit log."""

from datetime import datetime
from typing import Any, Literal

import msgspec

from app.accounts.limits import Held, Limits
from app.domain.money import nanos_to_dollars
from app.domain.plan import OwnPrice
from app.models import Account, ApiKey, AuditEntry

_NANOS_PER_MICRO = 1000


class AuditView(msgspec.Struct, frozen=True):
    """One action: the actor is an API key's id, "operator" or "system"."""

    id: str
    actor: str
    action: str
    subject: str | None
    detail: dict[str, Any]
    created_at: datetime

    @classmethod
    def of(cls, entry: AuditEntry) -> "AuditView":
        """The view of an entry."""
        detail = msgspec.json.decode(entry.detail) if entry.detail else {}
        return cls(entry.id, entry.actor, entry.action, entry.subject, detail, entry.created_at)


class AuditPage(msgspec.Struct, frozen=True):
    """Actions, latest first. `next` is the `after` of the next page; null at the end."""

    data: list[AuditView]
    next: str | None
    object: Literal["list"] = "list"


class ApiKeyView(msgspec.Struct, frozen=True):
    """An API key, of which only the last characters are known.

    `state` is active, expired or revoked. `last_used_at` is true to the minute.
    """

    id: str
    name: str
    hint: str
    scopes: list[str]
    state: str
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
    last_used_at: datetime | None
    object: Literal["api_key"] = "api_key"

    @classmethod
    def of(cls, key: ApiKey, now: datetime) -> "ApiKeyView":
        """The view of a key at this moment."""
        is_expired = key.expires_at is not None and key.expires_at <= now
        return cls(
            id=key.id,
            name=key.name,
            hint=key.hint,
            scopes=key.scopes.split(),
            state="revoked" if key.revoked_at else "expired" if is_expired else "active",
            created_at=key.created_at,
            expires_at=key.expires_at,
            revoked_at=key.revoked_at,
            last_used_at=key.last_used_at,
        )


class ApiKeyPage(msgspec.Struct, frozen=True):
    """Keys, newest first. `next` is the `after` of the next page; null at the end."""

    data: list[ApiKeyView]
    next: str | None
    object: Literal["list"] = "list"


class NewApiKeyView(msgspec.Struct, frozen=True):
    """A key just made. `secret` is shown this once and never again."""

    secret: str
    key: ApiKeyView
    object: Literal["new_api_key"] = "new_api_key"


class AccountLimitsView(msgspec.Struct, frozen=True):
    """What the account may do and have at a time; null where there is no limit."""

    requests_per_minute: int | None
    queued_jobs_max: int | None
    storage_bytes_max: int | None


class AccountView(msgspec.Struct, frozen=True):
    """The account: its limits, the jobs it has that are not closed, and the bytes of its files."""

    id: str
    name: str
    created_at: datetime
    limits: AccountLimitsView
    queued_jobs: int
    storage_bytes: int
    object: Literal["account"] = "account"

    @classmethod
    def of(cls, account: Account, limits: Limits, held: Held) -> "AccountView":
        """The view of an account."""
        shown = AccountLimitsView(
            limits.requests_per_minute, limits.queued_jobs_max, limits.storage_bytes_max
        )
        return cls(
            account.id,
            account.name,
            account.created_at,
            shown,
            held.queued_jobs,
            held.storage_bytes,
        )


class OwnPriceView(msgspec.Struct, frozen=True):
    """A price of the account's own, in dollars per million tokens, exact.

    `billed` says which calls pay it: those with the account's own key, byok, or with credits.
    """

    model: str
    billed: str
    input_usd: str
    cache_read_usd: str | None
    output_usd: str

    @classmethod
    def of(cls, price: OwnPrice) -> "OwnPriceView":
        """The view of a price."""
        cached = price.cache_read_micros
        return cls(
            f"{price.provider}/{price.model}",
            price.billed,
            _dollars(price.input_micros),
            None if cached is None else _dollars(cached),
            _dollars(price.output_micros),
        )


class OwnPriceList(msgspec.Struct, frozen=True):
    """Every price of the account's own, by model."""

    data: list[OwnPriceView]
    object: Literal["list"] = "list"


def _dollars(micros: int) -> str:
    return nanos_to_dollars(micros * _NANOS_PER_MICRO)
