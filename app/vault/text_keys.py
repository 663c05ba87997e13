"""Keys of batches and files that retain nothing: each of its own, wrapped by its day's key.

To destroy one is to destroy all that it sealed. What a copy of the database has of it opens
nothing once its day's key is destroyed, which the scheduler sees to.
"""

import base64
from datetime import UTC, date, datetime, timedelta

import sqlalchemy as sa
from sqlmodel import Session, col, select

from app.db import Store, Tx
from app.domain.errors import ConflictError, GoneError, SealError
from app.domain.ids import Prefix, new_id
from app.models import TextKey
from app.vault.cipher import Cipher
from app.vault.keyring import Keyring
from app.vault.master import Vault

#: A day's key wraps no key any more after so many days: those that live longer are wrapped anew.
DAYS_KEPT = 1


def make_text_key(
    tx: Tx,
    vault: Vault,
    key: bytes,
    *,
    account_id: str,
    batch_id: str | None = None,
    file_id: str | None = None,
) -> None:
    """Keep the new key of a batch or a file.

    Raises:
        SetupError: there is no keyring here.
    """
    now = Store.now(tx)
    row = TextKey(
        id=new_id(Prefix.TEXT_KEY),
        account_id=account_id,
        batch_id=batch_id,
        file_id=file_id,
        day="",
        wrapped="",
        created_at=now,
    )
    _wrap(vault.keyring, row, key, now)
    tx.add(row)
    tx.flush()


def take_over(tx: Tx, file_id: str, batch_id: str) -> None:
    """Give a file's key to the batch that is made of it.

    Raises:
        ConflictError: another batch has it, or had.
    """
    taken = tx.run(
        sa.update(TextKey)
        .where(col(TextKey.file_id) == file_id, col(TextKey.batch_id).is_(None))
        .values(batch_id=batch_id)
    )
    if taken.rowcount != 1:
        raise ConflictError(
            "input_file_id: another batch was made of this file, which retains nothing; upload it "
            "again",
            param="input_file_id",
        )


def cipher_of_batch(session: Session, vault: Vault, batch_id: str) -> Cipher:
    """What seals a batch's texts.

    Raises:
        GoneError: its key was destroyed.
        SealError: the key does not open.
    """
    return _open(vault, _row(session, col(TextKey.batch_id) == batch_id, batch_id))


def cipher_of_file(session: Session, vault: Vault, file_id: str) -> Cipher:
    """What seals a file.

    Raises:
        GoneError: its key was destroyed.
        SealError: the key does not open.
    """
    return _open(vault, _row(session, col(TextKey.file_id) == file_id, file_id))


def _row(session: Session, which: sa.ColumnElement[bool], of: str) -> TextKey:
    row = session.exec(select(TextKey).where(which)).one_or_none()
    if row is None:
        raise GoneError(f"the key of {of} was destroyed")
    return row


def has_old_keys(session: Session) -> bool:
    """Whether a key is wrapped by that of a day that is over."""
    return session.exec(select(TextKey.id).where(_is_old(session)).limit(1)).first() is not None


def _is_old(session: Session) -> sa.ColumnElement[bool]:
    last = _day_of(Store.now(session) - timedelta(days=DAYS_KEPT))
    return col(TextKey.day) < last.isoformat()


def rewrap_old_keys(tx: Tx, vault: Vault, limit: int = 500) -> int:
    """Wrap keys of days that are over by today's; answers how many."""
    now = Store.now(tx)
    rows = tx.exec(
        select(TextKey).where(_is_old(tx)).order_by(col(TextKey.id)).limit(limit).with_for_update()
    ).all()
    for row in rows:
        _wrap(vault.keyring, row, _unwrap(vault, row), now)
    return len(rows)


def destroy_old_days(session: Session, keyring: Keyring) -> list[date]:
    """Destroy the keys of days that are over and wrap nothing; answers which."""
    last = _day_of(Store.now(session) - timedelta(days=DAYS_KEPT))
    used = set(session.exec(select(TextKey.day).distinct()).all())
    old = [day for day in keyring.days() if day < last and day.isoformat() not in used]
    for day in old:
        keyring.destroy(day)
    return old


def _wrap(keyring: Keyring, row: TextKey, key: bytes, now: datetime) -> None:
    day = _day_of(now)
    sealed = keyring.cipher(day, make=True).seal(_where(row), key)
    row.day, row.wrapped = day.isoformat(), base64.b64encode(sealed).decode()


def _unwrap(vault: Vault, row: TextKey) -> bytes:
    day_key = vault.keyring.cipher(date.fromisoformat(row.day))
    key = day_key.open(_where(row), base64.b64decode(row.wrapped))
    if key is None:
        raise SealError(f"the key {row.id} does not open")
    return key


def _open(vault: Vault, row: TextKey) -> Cipher:
    return Cipher(_unwrap(vault, row))


def _where(row: TextKey) -> bytes:
    return f"text_key|{row.account_id}|{row.id}".encode()


def _day_of(moment: datetime) -> date:
    return moment.astimezone(UTC).date()
