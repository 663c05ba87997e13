"""The laws of the data that are about money, each one statement, so that it sees one moment.

They read whole tables: for tests, for the doctor, and for a check now and then.
"""

from dataclasses import dataclass

from sqlmodel import Session

from app.db import Store

VIOLATIONS_MAX = 100

#: Law 1: an account's columns add up, and are what its entries say.
_ACCOUNTS = """
SELECT account.id, account.granted_nanos, account.available_nanos, account.held_nanos,
  account.spent_nanos, account.overrun_nanos, e.granted, e.available, e.held, e.spent, e.overrun
FROM account LEFT JOIN (
  SELECT account_id,
    SUM(CASE WHEN debit = 'granted' THEN amount_nanos
             WHEN credit = 'granted' THEN -amount_nanos ELSE 0 END) AS granted,
    SUM(CASE WHEN debit = 'overrun' THEN amount_nanos ELSE 0 END) AS overrun,
    SUM(CASE WHEN credit = 'available' THEN amount_nanos
             WHEN debit = 'available' THEN -amount_nanos ELSE 0 END) AS available,
    SUM(CASE WHEN credit = 'held' THEN amount_nanos
             WHEN debit = 'held' THEN -amount_nanos ELSE 0 END) AS held,
    SUM(CASE WHEN credit = 'spent' THEN amount_nanos
             WHEN debit = 'spent' THEN -amount_nanos ELSE 0 END) AS spent
  FROM ledger_entry GROUP BY account_id
) e ON e.account_id = account.id
WHERE granted_nanos + overrun_nanos <> available_nanos + held_nanos + spent_nanos
  OR granted_nanos <> COALESCE(e.granted, 0) OR overrun_nanos <> COALESCE(e.overrun, 0)
  OR available_nanos <> COALESCE(e.available, 0) OR held_nanos <> COALESCE(e.held, 0)
  OR spent_nanos <> COALESCE(e.spent, 0)
ORDER BY account.id LIMIT :limit
"""
#: Law 1: what a batch has reserved is what its calls in `sending` may still cost.
_RESERVED = """
SELECT batch.id, batch.reserved_nanos, c.worst
FROM batch LEFT JOIN (
  SELECT batch_id, SUM(COALESCE(worst_nanos, 0)) AS worst FROM call
  WHERE worker_id IS NOT NULL AND state = 'sending' GROUP BY batch_id
) c ON c.batch_id = batch.id
WHERE batch.reserved_nanos <> COALESCE(c.worst, 0)
ORDER BY batch.id LIMIT :limit
"""
#: Law 1: what a batch holds is what its entries say.
_HELD = """
SELECT batch.id, batch.held_nanos, e.held
FROM batch LEFT JOIN (
  SELECT batch_id,
    SUM(CASE WHEN credit = 'held' THEN amount_nanos
             WHEN debit = 'held' THEN -amount_nanos ELSE 0 END) AS held
  FROM ledger_entry WHERE batch_id IS NOT NULL GROUP BY batch_id
) e ON e.batch_id = batch.id
WHERE batch.held_nanos <> COALESCE(e.held, 0)
ORDER BY batch.id LIMIT :limit
"""
#: Law 1: what a batch has spent is what its calls cost, and what answers did that nobody could read.
_SPENT = """
SELECT batch.id, batch.spent_nanos, u.cost, batch.wasted_nanos
FROM batch LEFT JOIN (
  SELECT batch_id, SUM(COALESCE(cost_nanos, 0)) AS cost FROM usage GROUP BY batch_id
) u ON u.batch_id = batch.id
WHERE batch.spent_nanos <> COALESCE(u.cost, 0) + batch.wasted_nanos
ORDER BY batch.id LIMIT :limit
"""
#: Law 2: a closed batch holds nothing.
_CLOSED = """
SELECT id, held_nanos FROM batch WHERE closed_at IS NOT NULL AND held_nanos <> 0
ORDER BY id LIMIT :limit
"""
#: Law 4: every completion has a usage row; a purge leaves usage without its completion.
_USAGE = """
SELECT completion.call_id FROM completion
LEFT JOIN usage ON usage.call_id = completion.call_id WHERE usage.call_id IS NULL
ORDER BY completion.call_id LIMIT :limit
"""
#: Law 4: what is billed to credits and cost something is captured once, and nothing else is.
_CAPTURED = """
SELECT usage.call_id, usage.billed, usage.cost_nanos, e.times, e.amount
FROM usage LEFT JOIN (
  SELECT call_id, COUNT(*) AS times, SUM(amount_nanos) AS amount FROM ledger_entry
  WHERE kind = 'capture' GROUP BY call_id
) e ON e.call_id = usage.call_id
WHERE COALESCE(e.times, 0) <> CASE WHEN usage.billed = 'credits' AND usage.cost_nanos > 0
                                   THEN 1 ELSE 0 END
  OR e.amount <> usage.cost_nanos
UNION ALL
SELECT e.call_id, NULL, NULL, 1, e.amount_nanos FROM ledger_entry e
LEFT JOIN usage ON usage.call_id = e.call_id
WHERE e.kind = 'capture' AND usage.call_id IS NULL
ORDER BY 1 LIMIT :limit
"""


@dataclass(frozen=True, slots=True)
class Violation:
    """One broken law: its number in the design, its name, what breaks it, and how."""

    law: int
    name: str
    subject: str
    detail: str


def unbalanced_accounts(session: Session, store: Store) -> list[Violation]:
    """Law 1: accounts whose books do not add up, or are not what their entries say."""
    return _violations(session, store, 1, "account_balances", _ACCOUNTS)


def misreserved_batches(session: Session, store: Store) -> list[Violation]:
    """Law 1: batches that reserve more or less than their calls in `sending` may cost."""
    return _violations(session, store, 1, "batch_reserved", _RESERVED)


def misheld_batches(session: Session, store: Store) -> list[Violation]:
    """Law 1: batches whose hold is not what their entries say."""
    return _violations(session, store, 1, "batch_held", _HELD)


def misspent_batches(session: Session, store: Store) -> list[Violation]:
    """Law 1: batches whose spend is not the sum of their calls' costs."""
    return _violations(session, store, 1, "batch_spent", _SPENT)


def unreleased_batches(session: Session, store: Store) -> list[Violation]:
    """Law 2: closed batches that still hold credits."""
    return _violations(session, store, 2, "closed_batch_holds", _CLOSED)


def unaccounted_completions(session: Session, store: Store) -> list[Violation]:
    """Law 4: completions without a usage row."""
    return _violations(session, store, 4, "completion_has_usage", _USAGE)


def miscaptured_calls(session: Session, store: Store) -> list[Violation]:
    """Law 4: calls billed to credits that are not captured exactly once, at their cost."""
    return _violations(session, store, 4, "usage_captured_once", _CAPTURED)


def check_money(session: Session, store: Store) -> list[Violation]:
    """Every law of this module; at most a hundred violations of each."""
    return [
        violation
        for law in (
            unbalanced_accounts,
            misreserved_batches,
            misheld_batches,
            misspent_batches,
            unreleased_batches,
            unaccounted_completions,
            miscaptured_calls,
        )
        for violation in law(session, store)
    ]


def _violations(
    session: Session, store: Store, law: int, name: str, statement: str
) -> list[Violation]:
    result = session.connection().execute(store.sql(statement), {"limit": VIOLATIONS_MAX})
    columns = list(result.keys())[1:]
    return [
        Violation(
            law,
            name,
            subject=row[0],
            detail=", ".join(
                f"{column}={value}" for column, value in zip(columns, row[1:], strict=True)
            ),
        )
        for row in result
    ]
