"""Rotation of the master key: every data key is wrapped by the first one, while work goes on.

What is sealed under a data key stays as it is: provider keys, webhook secrets and texts never
touch the master key itself.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import sqlalchemy as sa
from sqlmodel import Session, col, select

from app.db import Commit, Store, Tx
from app.domain.errors import ConflictError
from app.models import Account
from app.vault.custody import read_key_file
from app.vault.master import Vault, kid_of, new_fernet_key
from app.vault.private import keep_private

CHUNK = 200


@dataclass(frozen=True, slots=True)
class Rotation:
    """What a rotation came to: the key in force, and how many data keys each other one wraps."""

    current: str
    rewrapped: int
    left: dict[str, int]

    @property
    def is_done(self) -> bool:
        """Whether no data key needs an older master key any more."""
        return not self.left


def rotate(
    store: Store, vault: Vault, on_progress: Callable[[int, int], None] = lambda _done, _all: None
) -> Rotation:
    """Wrap every data key by the first master key, some accounts per transaction.

    Cut short, it goes on where it was; several at once do each account once.

    Raises:
        SealError: a data key does not open with the master keys that are here.
    """
    current, done = vault.kids[0], 0
    with store.read() as session:
        total = sum(keys_in_use(session, but=current).values())
    after = ""
    while True:
        with store.transaction(Commit.ROTATE) as tx:
            seen, rewrapped = _rewrap_some(tx, vault, current, after)
        if not seen:
            break
        after, done = seen[-1], done + rewrapped
        on_progress(done, total)
    with store.read() as session:
        return Rotation(current, done, keys_in_use(session, but=current))


def keys_in_use(session: Session, *, but: str = "") -> dict[str, int]:
    """How many data keys each master key wraps, by the master key's id."""
    kid = col(Account.data_key_kid)
    rows = session.exec(
        select(kid, sa.func.count()).where(kid.not_in([but, ""])).group_by(kid).order_by(kid)
    ).all()
    return dict(rows)


def _rewrap_some(tx: Tx, vault: Vault, current: str, after: str) -> tuple[Sequence[str], int]:
    accounts = tx.exec(
        select(Account)
        .where(col(Account.id) > after, col(Account.data_key_kid).not_in([current, ""]))
        .order_by(col(Account.id))
        .limit(CHUNK)
        .with_for_update(key_share=True)
    ).all()
    for account in accounts:
        account.data_key_wrapped, account.data_key_kid = vault.rewrap(
            account.id, account.data_key_wrapped, account.data_key_kid
        )
    return [account.id for account in accounts], len(accounts)


def put_new_key(path: Path) -> str:
    """Put a new master key before those in the key file; answers its id.

    Raises:
        SetupError: the file cannot be read.
    """
    key = new_fernet_key()
    keep_private(path, f"{key},{read_key_file(path)}\n", replace=True)
    return kid_of(key)


def forget_old_keys(store: Store, path: Path) -> list[str]:
    """Leave only the first master key in the key file; answers the ids of those that are gone.

    Raises:
        ConflictError: another one still wraps a data key; nothing is forgotten.
        SetupError: the file cannot be read.
    """
    before = read_key_file(path)
    first, *others = [key.strip() for key in before.split(",")]
    _refuse_in_use(store, kid_of(first))
    keep_private(path, first + "\n", replace=True)
    try:
        # An account that was made between the two wrote its key down by now.
        _refuse_in_use(store, kid_of(first))
    except ConflictError:
        keep_private(path, before + "\n", replace=True)
        raise
    return [kid_of(key) for key in others]


def _refuse_in_use(store: Store, current: str) -> None:
    with store.read() as session:
        used = keys_in_use(session, but=current)
    if used:
        told = ", ".join(f"{kid} ({count})" for kid, count in used.items())
        raise ConflictError(
            f"master keys that still wrap data keys are not forgotten: {told}; rotate first"
        )
