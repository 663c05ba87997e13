"""API keys: created and shown once, checked at every request, revoked at once."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from sqlalchemy import or_, update
from sqlmodel import Session, col, select

from app.accounts.audit import OPERATOR, Action, record_action
from app.accounts.tokens import HINT_CHARS, digest_of, is_well_formed, new_token
from app.db import Store, Tx
from app.domain.errors import ForbiddenError, NotFoundError, UnauthorizedError
from app.domain.ids import Prefix, new_id
from app.domain.secret import Secret
from app.models import Account, ApiKey

#: RFC 9110, 11.1: a scheme is known in any case.
_SCHEME = "bearer "
#: `last_used_at` is written no more often than this, so that a request rarely writes for it.
_USED_NOTE_INTERVAL = timedelta(minutes=1)


class Scope(StrEnum):
    """What an API key may be used for."""

    SUBMIT = "submit"  # make and steer batches
    READ = "read"  # see them
    ADMIN = "admin"  # everything, and the account's settings


@dataclass(frozen=True, slots=True)
class Principal:
    """Whose request this is, and what it may do."""

    account_id: str
    api_key_id: str
    scopes: frozenset[Scope]
    #: The account's own limit; None: what the settings say, 0: none.
    requests_per_minute: int | None = None
    #: Whether it is time to note that the key was used.
    is_note_due: bool = False

    def require(self, scope: Scope) -> None:
        """Go on only with this scope.

        Raises:
            ForbiddenError: the key does not have it.
        """
        if scope not in self.scopes and Scope.ADMIN not in self.scopes:
            raise ForbiddenError(f"this API key does not have the scope {scope.value!r}")


@dataclass(frozen=True, slots=True)
class NewApiKey:
    """A key just made: the only time that its value is known."""

    id: str
    value: Secret


def create_api_key(
    tx: Tx,
    account_id: str,
    name: str,
    scopes: Iterable[Scope],
    expires_at: datetime | None = None,
    actor: str = OPERATOR,
) -> NewApiKey:
    """Make an API key. Only its SHA-256 is kept."""
    made = NewApiKey(new_id(Prefix.API_KEY), new_token())
    token = made.value.reveal()
    words = sorted(set(scopes))
    tx.add(
        ApiKey(
            id=made.id,
            account_id=account_id,
            name=name,
            secret_sha256=digest_of(token),
            hint=token[-HINT_CHARS:],
            scopes=" ".join(words),
            created_at=Store.now(tx),
            expires_at=expires_at,
        )
    )
    record_action(
        tx,
        Action.API_KEY_CREATED,
        actor=actor,
        account_id=account_id,
        subject=made.id,
        scopes=[word.value for word in words],
        expires_at=None if expires_at is None else expires_at.isoformat(),
    )
    return made


def authenticate(session: Session, authorization: str | None) -> Principal:
    """Who sent a request with this Authorization header.

    Every refusal reads the same, and nothing is remembered between requests, so that a
    revoked key is refused at once by every process.

    Raises:
        UnauthorizedError: there is no valid API key in it.
    """
    given = authorization or ""
    token = given[len(_SCHEME) :]
    if given[: len(_SCHEME)].lower() != _SCHEME or not is_well_formed(token):
        raise UnauthorizedError
    now = Store.now(session)
    found = session.exec(
        select(ApiKey, Account.requests_per_minute)
        .join(Account, col(Account.id) == ApiKey.account_id)
        .where(
            ApiKey.secret_sha256 == digest_of(token),
            col(ApiKey.revoked_at).is_(None),
            or_(col(ApiKey.expires_at).is_(None), col(ApiKey.expires_at) > now),
            col(Account.disabled_at).is_(None),
        )
    ).one_or_none()
    if found is None:
        raise UnauthorizedError
    key, per_minute = found
    scopes = frozenset(Scope(word) for word in key.scopes.split())
    is_note_due = key.last_used_at is None or now - key.last_used_at >= _USED_NOTE_INTERVAL
    return Principal(key.account_id, key.id, scopes, per_minute, is_note_due)


def note_api_key_used(tx: Tx, api_key_id: str) -> None:
    """Keep when an API key was last used, to the minute."""
    now = Store.now(tx)
    tx.run(
        update(ApiKey)
        .where(
            col(ApiKey.id) == api_key_id,
            or_(
                col(ApiKey.last_used_at).is_(None),
                col(ApiKey.last_used_at) <= now - _USED_NOTE_INTERVAL,
            ),
        )
        .values(last_used_at=now)
    )


def api_keys_of(
    session: Session, account_id: str, *, after: str | None = None, limit: int = 50
) -> list[ApiKey]:
    """An account's keys, newest first, those that are no longer valid among them.

    `after` is the id of the last one seen.
    """
    query = select(ApiKey).where(ApiKey.account_id == account_id)
    if after is not None:
        query = query.where(col(ApiKey.id) < after)
    return list(session.exec(query.order_by(col(ApiKey.id).desc()).limit(limit)))


def revoke_api_key(tx: Tx, account_id: str, api_key_id: str, *, actor: str = OPERATOR) -> None:
    """Make an API key useless from the commit on; again does nothing.

    Raises:
        NotFoundError: the account has no such key.
    """
    key = tx.get(ApiKey, api_key_id)
    if key is None or key.account_id != account_id:
        raise NotFoundError(f"there is no API key {api_key_id!r}")
    if key.revoked_at is None:
        key.revoked_at = Store.now(tx)
        tx.add(key)
        record_action(
            tx, Action.API_KEY_REVOKED, actor=actor, account_id=account_id, subject=api_key_id
        )
