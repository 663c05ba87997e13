"""Texts as the store has them: plain, or sealed under a key of their account's or batch's own.

The one way to what is in `stored_text` and `verdict`, and to messages that may quote it: whoever
reads or writes them asks for their batch's `Texts` first, and is told if there are none any more.
"""

import base64
import binascii
import hashlib
from collections.abc import Collection, Iterable, Iterator
from itertools import repeat
from typing import Final

from sqlmodel import Session, col, select
from typing_extensions import override

from app.domain.errors import GoneError, SealError
from app.domain.states import GoneReason, Seal
from app.models import Account, Batch
from app.vault.cipher import Cipher
from app.vault.master import Vault
from app.vault.text_keys import cipher_of_batch

#: Where a session has the vault, in its `info`; every session of a `Services`' store has it.
VAULT: Final = "vault"
#: How a sealed text begins.
_MARK = "ovs1:"
_GONE: dict[str, str] = {
    GoneReason.ACKNOWLEDGED: "its results were acknowledged",
    GoneReason.RETENTION_NONE: "it retained nothing, and 24 hours have passed since it closed",
    GoneReason.RETENTION_DAYS: "the account's retention period has passed",
    GoneReason.PURGED: "the account was purged",
}


class Texts:
    """The texts of a batch that keeps them plain."""

    __slots__ = ()

    is_sealed = False

    def seal(self, place: str, row_id: str, text: str) -> str:
        """The text as it is kept in a row, at a place of its table: `table.column`."""
        return text

    def open(self, place: str, row_id: str, kept: str) -> str:
        """The text that is kept there.

        Raises:
            SealError: it was damaged, or sealed elsewhere; names the row's id only.
        """
        return kept

    def seal_message(self, place: str, row_id: str, message: str | None) -> str | None:
        """A message that may quote a text, as it is kept."""
        return None if message is None else self.seal(place, row_id, message)

    def open_message(self, place: str, row_id: str, kept: str | None) -> str | None:
        """The message that is kept there; what we say ourselves of many calls at once is plain."""
        return kept

    def fingerprint(self, data: bytes) -> str:
        """What tells equal data from other."""
        return hashlib.sha256(data).hexdigest()

    def row(self, owner_id: str, kind: str, batch_id: str, text: str) -> tuple[str, str, str, str]:
        """A row of `stored_text`: owner, kind, batch and body."""
        return (owner_id, kind, batch_id, self.seal(kind, owner_id, text))

    def rows(
        self, owner_ids: Iterable[str], kind: str, batch_id: str, texts: Iterable[str]
    ) -> Iterator[tuple[str, str, str, str]]:
        """Such rows of several owners, of one kind."""
        return zip(owner_ids, repeat(kind), repeat(batch_id), texts, strict=False)


class SealedTexts(Texts):
    """The texts of a batch that keeps them sealed, each for its place and row alone."""

    __slots__ = ("_account_id", "_cipher")

    is_sealed = True

    def __init__(self, cipher: Cipher, account_id: str) -> None:
        self._cipher = cipher
        self._account_id = account_id

    @override
    def seal(self, place: str, row_id: str, text: str) -> str:
        sealed = self._cipher.seal(self._where(place, row_id), text.encode())
        return _MARK + base64.b64encode(sealed).decode("ascii")

    @override
    def rows(
        self, owner_ids: Iterable[str], kind: str, batch_id: str, texts: Iterable[str]
    ) -> Iterator[tuple[str, str, str, str]]:
        owned = zip(owner_ids, texts, strict=True)
        return (self.row(owner_id, kind, batch_id, text) for owner_id, text in owned)

    @override
    def open(self, place: str, row_id: str, kept: str) -> str:
        text = None
        if kept.startswith(_MARK):
            try:
                sealed = base64.b64decode(kept[len(_MARK) :], validate=True)
            except (binascii.Error, ValueError):
                sealed = b""
            text = self._cipher.open(self._where(place, row_id), sealed)
        if text is None:
            raise SealError(f"what is sealed in {row_id} does not open there")
        return text.decode()

    @override
    def open_message(self, place: str, row_id: str, kept: str | None) -> str | None:
        is_ours = kept is None or not kept.startswith(_MARK)
        return kept if is_ours or kept is None else self.open(place, row_id, kept)

    @override
    def fingerprint(self, data: bytes) -> str:
        return self._cipher.fingerprint(data)

    def _where(self, place: str, row_id: str) -> bytes:
        return f"{place}|{self._account_id}|{row_id}".encode()


PLAIN = Texts()


def texts_of(session: Session, batch: Batch) -> Texts:
    """How the texts of a batch are read and written.

    Raises:
        GoneError: there are none any more, and why.
        SealError: the key does not open.
    """
    require_texts(batch)
    if batch.seal is None:
        return PLAIN
    vault: Vault = session.info[VAULT]
    return SealedTexts(_cipher_of(session, vault, batch), batch.account_id)


def cipher_of_outputs(session: Session, vault: Vault, batch: Batch) -> Cipher | None:
    """What seals the files that are made of a batch's texts; None where they are plain.

    Raises:
        GoneError: the texts were destroyed, and so are the files.
        SealError: the key does not open.
    """
    require_texts(batch)
    return None if batch.seal is None else _cipher_of(session, vault, batch)


def _cipher_of(session: Session, vault: Vault, batch: Batch) -> Cipher:
    if batch.seal == Seal.BATCH:
        return cipher_of_batch(session, vault, batch.id)
    return account_cipher(vault, session.get_one(Account, batch.account_id))


def account_texts(session: Session, account_id: str) -> Texts:
    """How the texts of a batch that the account submits now are kept, if they are.

    Raises:
        SealError: its data key does not open.
    """
    account = session.get_one(Account, account_id)
    if not account.seal:
        return PLAIN
    return SealedTexts(account_cipher(session.info[VAULT], account), account.id)


def require_texts(batch: Batch) -> None:
    """Refuse what needs the texts of a batch, if they were destroyed.

    Raises:
        GoneError: they were, and why.
    """
    if batch.gone_reason is not None:
        why = _GONE.get(batch.gone_reason, batch.gone_reason)
        raise GoneError(f"the text of batch {batch.id} was destroyed: {why}")


def texts_by_batch(session: Session, batch_ids: Collection[str]) -> dict[str, Texts]:
    """How the texts of several batches are read and written.

    Raises:
        GoneError: one of them has none any more.
        SealError: a key does not open.
    """
    rows = session.exec(select(Batch).where(col(Batch.id).in_(sorted(batch_ids)))).all()
    return {batch.id: texts_of(session, batch) for batch in rows}


def account_cipher(vault: Vault, account: Account) -> Cipher:
    """What seals the texts and files of an account.

    Raises:
        SealError: its data key does not open.
    """
    return vault.data_key(account.id, account.data_key_wrapped, account.data_key_kid).texts
