"""What `overnight accounts` does, in the store itself."""

from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from decimal import Decimal, InvalidOperation
from typing import Any

import msgspec
from sqlmodel import Session, col, select

from api.account_views import ApiKeyView
from api.cli.failure import ExitCode, Failure
from app.accounts.accounts import get_account, list_accounts, set_disabled
from app.accounts.api_keys import Scope, api_keys_of, create_api_key
from app.accounts.audit import OPERATOR, actions_of
from app.accounts.limits import Limits, held_by, limits_of, set_limits
from app.billing.ledger import balance_of
from app.billing.rates import MICROS_PER_DOLLAR
from app.db import Commit, Store
from app.domain.errors import ConflictError, RejectedError
from app.domain.states import Billed
from app.logs import configure_logging
from app.migrations import check_schema
from app.models import Account, Batch
from app.pipeline.accounts import default_limits, make_account
from app.pipeline.control import cancel
from app.pipeline.prices import GivenPrice, own_prices, replace_prices
from app.pipeline.services import build_services
from app.settings import Settings, load_settings
from app.vault.custody import check_vault, load_vault

_KEYS_SHOWN = 200


@contextmanager
def opened() -> Iterator[tuple[Settings, Store]]:
    """The settings, and the store that they name, at this version's schema.

    Raises:
        Failure: what was asked for cannot be, as the block found.
    """
    settings = load_settings()
    configure_logging(settings)
    with closing(Store(settings.store_url, crash_at=settings.crash_at)) as store:
        check_schema(store.engine)
        try:
            yield settings, store
        except RejectedError as error:
            raise Failure(error.message, ExitCode.USAGE) from None


def create(name: str) -> dict[str, Any]:
    """Make an account with an API key of every scope."""
    with opened() as (settings, store):
        vault = load_vault(settings)
        check_vault(store, vault)
        with store.transaction(Commit.NEW_ACCOUNT) as tx:
            account = make_account(tx, vault, name)
            made = create_api_key(tx, account.id, "first", Scope)
    return _made(account.id, made.id, made.value.reveal())


def api_key(account_id: str, name: str) -> dict[str, Any]:
    """Make another key of every scope."""
    with opened() as (_, store), store.transaction(Commit.API_KEY) as tx:
        get_account(tx, account_id)
        made = create_api_key(tx, account_id, name, Scope)
    return _made(account_id, made.id, made.value.reveal())


def accounts() -> list[dict[str, Any]]:
    """Every account with its credits."""
    with opened() as (_, store), store.read() as session:
        return [_shown(session, account) for account in list_accounts(session)]


def account(account_id: str) -> dict[str, Any]:
    """One account with all that there is to know of it."""
    with opened() as (settings, store), store.read() as session:
        now = store.now(session)
        shown = _shown(session, get_account(session, account_id))
        keys = api_keys_of(session, account_id, limit=_KEYS_SHOWN)
        return shown | {
            "limits": _plain(limits_of(session, account_id, default_limits(settings))),
            "held": _plain(held_by(session, account_id)),
            "api_keys": [_plain(ApiKeyView.of(key, now)) for key in keys],
        }


def limit(account_id: str, own: Sequence[int | None]) -> dict[str, Any]:
    """Set an account's own limits; those in force."""
    with opened() as (settings, store), store.transaction(Commit.LIMITS) as tx:
        set_limits(tx, account_id, Limits(*own))
        return dict(_plain(limits_of(tx, account_id, default_limits(settings))))


def disable(account_id: str, *, cancel: bool) -> int:
    """Shut an account out; how many of its batches were cancelled."""
    with opened() as (_, store), store.transaction(Commit.ACCOUNT_STATE) as tx:
        set_disabled(tx, account_id, disabled=True)
    return _cancel_all(account_id) if cancel else 0


def enable(account_id: str) -> None:
    """Let an account in again."""
    with opened() as (_, store), store.transaction(Commit.ACCOUNT_STATE) as tx:
        set_disabled(tx, account_id, disabled=False)


def price(account_id: str, model: str, input_usd: str | None, output_usd: str | None) -> None:
    """Set a price for calls that are paid with credits; without one, as it is listed."""
    with opened() as (_, store), store.transaction(Commit.PRICES) as tx:
        get_account(tx, account_id)
        kept = [
            GivenPrice(
                f"{one.provider}/{one.model}",
                _dollars(one.input_micros),
                _dollars(one.output_micros),
                None if one.cache_read_micros is None else _dollars(one.cache_read_micros),
            )
            for one in own_prices(tx, account_id)
            if one.billed == Billed.CREDITS and f"{one.provider}/{one.model}" != model
        ]
        if input_usd is not None and output_usd is not None:
            kept.append(GivenPrice(model, _decimal(input_usd), _decimal(output_usd)))
        replace_prices(tx, account_id, Billed.CREDITS, kept, actor=OPERATOR)


def audit(account_id: str | None, limit: int) -> list[dict[str, Any]]:
    """The latest entries of an account's audit log, or of the whole installation's."""
    with opened() as (_, store), store.read() as session:
        if account_id is not None:
            get_account(session, account_id)
        found = actions_of(session, account_id, limit=limit)
        return [
            {
                "id": one.id,
                "created_at": one.created_at.isoformat(),
                "account_id": one.account_id,
                "actor": one.actor,
                "action": one.action,
                "subject": one.subject,
                "detail": msgspec.json.decode(one.detail) if one.detail else {},
            }
            for one in found
        ]


def _cancel_all(account_id: str) -> int:
    services = build_services(load_settings())
    cancelled = 0
    with closing(services.store):
        with services.store.read() as session:
            batch_ids = session.exec(
                select(Batch.id).where(
                    Batch.account_id == account_id, col(Batch.closed_at).is_(None)
                )
            ).all()
        for batch_id in batch_ids:
            try:
                cancel(services, account_id, batch_id)
            except ConflictError:
                continue  # it is about to be closed
            cancelled += 1
    return cancelled


def _made(account_id: str, key_id: str, secret: str) -> dict[str, Any]:
    return {"account_id": account_id, "api_key_id": key_id, "secret": secret}


def _shown(session: Session, account: Account) -> dict[str, Any]:
    disabled = account.disabled_at
    return {
        "id": account.id,
        "name": account.name,
        "created_at": account.created_at.isoformat(),
        "disabled_at": None if disabled is None else disabled.isoformat(),
        "credits": _plain(balance_of(session, account.id)),
    }


def _dollars(micros: int) -> Decimal:
    return Decimal(micros) / MICROS_PER_DOLLAR


def _decimal(text: str) -> Decimal:
    try:
        return Decimal(text)
    except InvalidOperation:
        raise Failure(f"{text!r} is not an amount", ExitCode.USAGE) from None


def _plain(value: object) -> Any:
    return msgspec.to_builtins(value)
