"""Granting credits: written to the store itself, by the operator, on this machine."""

import uuid
from contextlib import closing
from typing import Any

from api.cli.failure import Failure
from app.accounts.accounts import first_account_id
from app.billing import ledger
from app.db import Commit, Store
from app.logs import configure_logging
from app.migrations import check_schema
from app.settings import load_settings


def grant(
    amount_nanos: int, *, account_id: str | None, note: str | None, idempotency_key: str | None
) -> dict[str, Any]:
    """Grant an account credits, by default the local one; what it has now."""
    settings = load_settings()
    configure_logging(settings)
    key = idempotency_key or str(uuid.uuid4())
    with closing(Store(settings.store_url, crash_at=settings.crash_at)) as store:
        check_schema(store.engine)
        receiver = account_id or _local_account(store)
        with store.transaction(Commit.GRANT) as tx:
            was_new = ledger.grant(
                tx, store, receiver, amount_nanos, idempotency_key=key, note=note
            )
        with store.read() as session:
            available = ledger.balance_of(session, receiver).available_nanos
    return {
        "account_id": receiver,
        "granted_nanos": amount_nanos,
        "was_new": was_new,
        "available_nanos": available,
    }


def _local_account(store: Store) -> str:
    with store.read() as session:
        account_id = first_account_id(session)
    if account_id is None:
        raise Failure("there is no account yet: `overnight up` makes the local one")
    return account_id
