"""The audit log: written with the action it tells of, and never changed."""

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError

from app.accounts.audit import OPERATOR, Action, actions_of, record_action
from app.db import Store

KEY = "ovn_" + "a" * 30 + "_000000"


def note(store: Store, account_id: str | None, subject: str, **detail: str) -> None:
    with store.transaction() as tx:
        record_action(
            tx,
            Action.API_KEY_CREATED,
            actor=OPERATOR,
            account_id=account_id,
            subject=subject,
            **detail,
        )


def subjects(store: Store, account_id: str | None, **page: object) -> list[str | None]:
    with store.read() as session:
        return [one.subject for one in actions_of(session, account_id, **page)]


def test_an_account_sees_its_own_entries_latest_first_and_by_the_page(store: Store) -> None:
    for number in range(5):
        note(store, "acct_1", f"key_{number}")
    note(store, "acct_2", "key_theirs")
    note(store, None, "installation")
    assert subjects(store, "acct_1", limit=2) == ["key_4", "key_3"]
    with store.read() as session:
        last = actions_of(session, "acct_1", limit=2)[-1]
    assert subjects(store, "acct_1", after=last.id) == ["key_2", "key_1", "key_0"]
    assert len(subjects(store, None)) == 7


def test_an_action_that_is_rolled_back_is_in_no_log(store: Store) -> None:
    with store.transaction() as tx:
        record_action(tx, Action.PRICES_SET, actor=OPERATOR, account_id="acct_1")
        tx.rollback()
    assert subjects(store, "acct_1") == []


def test_a_secret_that_got_in_by_mistake_is_not_kept(store: Store) -> None:
    note(store, "acct_1", "key_1", why=f"made {KEY}")
    with store.read() as session:
        (entry,) = actions_of(session, "acct_1")
    assert entry.detail == '{"why":"made ***"}'


def test_b7_an_audit_entry_is_never_changed_or_deleted(store: Store) -> None:
    note(store, "acct_1", "key_1")
    statements = ["UPDATE audit_entry SET actor = 'me'", "DELETE FROM audit_entry"]
    for statement in statements if store.is_sqlite else [*statements, "TRUNCATE audit_entry"]:
        with pytest.raises(DBAPIError, match="never changed"), store.transaction() as tx:
            tx.run(sa.text(statement))
    assert subjects(store, "acct_1") == ["key_1"]
