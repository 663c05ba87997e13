"""What an operator does to credits: each movement with its entry in the audit log."""

from app.accounts.audit import OPERATOR, Action, record_action
from app.billing import corrections, ledger
from app.db import Commit, Store


def grant_credits(
    store: Store, account_id: str, amount_nanos: int, *, idempotency_key: str, note: str | None
) -> bool:
    """Give an account credits; False if this grant was made before.

    Raises: as `ledger.grant`.
    """
    with store.transaction(Commit.GRANT) as tx:
        was_new = ledger.grant(
            tx, store, account_id, amount_nanos, idempotency_key=idempotency_key, note=note
        )
        if was_new:
            record_action(
                tx,
                Action.CREDITS_GRANTED,
                actor=OPERATOR,
                account_id=account_id,
                amount_nanos=amount_nanos,
            )
    return was_new


def adjust_credits(
    store: Store, account_id: str, amount_nanos: int, *, idempotency_key: str, note: str
) -> bool:
    """Correct what an account was granted; False if this was done before.

    Raises: as `corrections.adjust`.
    """
    with store.transaction(Commit.CREDITS_ADJUSTED) as tx:
        was_new = corrections.adjust(
            tx, store, account_id, amount_nanos, idempotency_key=idempotency_key, note=note
        )
        if was_new:
            record_action(
                tx,
                Action.CREDITS_ADJUSTED,
                actor=OPERATOR,
                account_id=account_id,
                amount_nanos=amount_nanos,
            )
    return was_new


def refund_call(store: Store, call_id: str, *, note: str) -> tuple[str, int]:
    """Give back what a call was charged; the account, and how much in nanodollars.

    Raises: as `corrections.refund`.
    """
    with store.transaction(Commit.CREDITS_REFUNDED) as tx:
        capture = corrections.refund(tx, store, call_id, note=note)
        record_action(
            tx,
            Action.CREDITS_REFUNDED,
            actor=OPERATOR,
            account_id=capture.account_id,
            subject=call_id,
            amount_nanos=capture.amount_nanos,
        )
    return capture.account_id, capture.amount_nanos
