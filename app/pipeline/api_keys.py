"""API keys as an account's admin handles them: made, listed and revoked."""

from collections.abc import Iterable
from datetime import UTC, datetime

from sqlmodel import Session, col, func, select

from app.accounts.api_keys import NewApiKey, Principal, Scope, create_api_key, revoke_api_key
from app.db import Commit
from app.domain.errors import InvalidRequestError, QuotaError
from app.models import ApiKey
from app.pipeline.services import Services

#: So many that were not revoked; more are a program's mistake.
API_KEYS_MAX = 200
NAME_CHARS_MAX = 100


def make_key(
    services: Services,
    principal: Principal,
    name: str,
    scopes: Iterable[str],
    expires_at: datetime | None,
) -> tuple[NewApiKey, ApiKey]:
    """Make an API key for the account of whoever asks: its value, and its row.

    Raises:
        InvalidRequestError: naming the field at fault.
        QuotaError: the account has as many as it may have.
    """
    if not 0 < len(name.strip()) <= NAME_CHARS_MAX:
        raise InvalidRequestError(
            f"name: give it one of up to {NAME_CHARS_MAX} characters, to know it by", param="name"
        )
    wanted = _scopes(scopes)
    with services.store.transaction(Commit.API_KEY) as tx:
        now = services.store.now(tx)
        expires = None if expires_at is None else _in_future(expires_at, now)
        if _valid_keys(tx, principal.account_id) >= API_KEYS_MAX:
            raise QuotaError(f"an account has at most {API_KEYS_MAX} keys; revoke some first")
        made = create_api_key(
            tx, principal.account_id, name.strip(), wanted, expires, principal.api_key_id
        )
        return made, tx.get_one(ApiKey, made.id)


def revoke_key(services: Services, principal: Principal, api_key_id: str) -> None:
    """Make one of the account's keys useless, its own if that is asked for.

    Raises:
        NotFoundError: the account has no such key.
    """
    with services.store.transaction(Commit.API_KEY_REVOKED) as tx:
        revoke_api_key(tx, principal.account_id, api_key_id, actor=principal.api_key_id)


def _scopes(given: Iterable[str]) -> list[Scope]:
    known = {scope.value: scope for scope in Scope}
    wanted = []
    for word in given:
        if word not in known:
            raise InvalidRequestError(
                f"scopes: {word[:32]!r} is none of {', '.join(known)}", param="scopes"
            )
        wanted.append(known[word])
    if not wanted:
        raise InvalidRequestError(f"scopes: some of {', '.join(known)}", param="scopes")
    return wanted


def _in_future(moment: datetime, now: datetime) -> datetime:
    problem = "expires_at: give a moment in the future, with its time zone"
    if moment.tzinfo is None:
        raise InvalidRequestError(problem, param="expires_at")
    try:
        moment = moment.astimezone(UTC)
    except OverflowError:
        raise InvalidRequestError(problem, param="expires_at") from None
    if moment <= now:
        raise InvalidRequestError(problem, param="expires_at")
    return moment


def _valid_keys(session: Session, account_id: str) -> int:
    return session.exec(
        select(func.count())
        .select_from(ApiKey)
        .where(ApiKey.account_id == account_id, col(ApiKey.revoked_at).is_(None))
    ).one()
