"""Moving credits by hand: written to the store itself, by the operator, on this machine."""

import uuid
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

from api.cli.failure import ExitCode, Failure
from app.accounts.accounts import first_account_id
from app.billing.ledger import balance_of
from app.db import Store
from app.domain.errors import RejectedError
from app.logs import configure_logging
from app.migrations import check_schema
from app.pipeline.credits import adjust_credits, grant_credits, refund_call
from app.settings import load_settings


def grant(
    amount_nanos: int, *, account_id: str | None, note: str | None, idempotency_key: str | None
) -> dict[str, Any]:
    """Grant an account credits, by default the local one; what it has now."""
    key = idempotency_key or str(uuid.uuid4())
    with _opened() as store:
        receiver = account_id or _local_account(store)
        was_new = grant_credits(store, receiver, amount_nanos, idempotency_key=key, note=note)
        return _now(store, receiver) | {"granted_nanos": amount_nanos, "was_new": was_new}


def adjust(
    amount_nanos: int, *, account_id: str | None, note: str, idempotency_key: str | None
) -> dict[str, Any]:
    """Correct what an account was granted, up or down; what it has now."""
    key = idempotency_key or str(uuid.uuid4())
    with _opened() as store:
        receiver = account_id or _local_account(store)
        was_new = adjust_credits(store, receiver, amount_nanos, idempotency_key=key, note=note)
        return _now(store, receiver) | {"adjusted_nanos": amount_nanos, "was_new": was_new}


def refund(call_id: str, *, note: str) -> dict[str, Any]:
    """Give back what a call was charged; what its account has now."""
    with _opened() as store:
        account_id, amount_nanos = refund_call(store, call_id, note=note)
        return _now(store, account_id) | {"call_id": call_id, "refunded_nanos": amount_nanos}


@contextmanager
def _opened() -> Iterator[Store]:
    settings = load_settings()
    configure_logging(settings)
    with closing(Store(settings.store_url, crash_at=settings.crash_at)) as store:
        check_schema(store.engine)
        try:
            yield store
        except RejectedError as error:
            raise Failure(error.message, ExitCode.USAGE) from None


def _now(store: Store, account_id: str) -> dict[str, Any]:
    with store.read() as session:
        available = balance_of(session, account_id).available_nanos
    return {"account_id": account_id, "available_nanos": available}


def _local_account(store: Store) -> str:
    with store.read() as session:
        account_id = first_account_id(session)
    if account_id is None:
        raise Failure("there is no account yet: `overnight up` makes the local one")
    return account_id
