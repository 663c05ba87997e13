"""How the text of a submission or a file is kept: plain, sealed, or only until it was fetched."""

from sqlmodel import Session

from app.db import Tx
from app.domain.errors import InvalidRequestError
from app.domain.spec import BatchBody
from app.domain.states import Retention, Seal
from app.models import Account, Batch, InputFile
from app.vault.cipher import new_key
from app.vault.master import Vault
from app.vault.text_keys import make_text_key, take_over
from app.vault.texts import Texts, texts_of


def seal_for(account: Account, retention: str | None) -> Seal | None:
    """Under whose key the text is sealed, if it is.

    Raises:
        InvalidRequestError: it is to be kept, and the account retains nothing.
    """
    if account.retention == Retention.NONE and retention == Retention.KEEP:
        raise InvalidRequestError(
            "retention: this account's setting is none, and what it is sent is not kept",
            param="retention",
        )
    if Retention.NONE in {account.retention, retention}:
        return Seal.BATCH
    return Seal.ACCOUNT if account.seal else None


def check_keeping(session: Session, account_id: str, body: BatchBody) -> Seal | None:
    """Under whose key a submission's text is sealed, if all of it can be.

    Raises:
        InvalidRequestError: it asks for an earlier answer, or its file is kept otherwise.
    """
    seal = seal_for(session.get_one(Account, account_id), body.retention)
    if seal is Seal.BATCH and body.cache:
        raise InvalidRequestError(
            "cache: a batch that retains nothing neither takes nor gives earlier answers",
            param="cache",
        )
    if body.input_file_id is not None:
        file = session.get(InputFile, body.input_file_id)
        if file is not None and file.account_id == account_id:  # else, who reads it says so
            _check_file(file, seal)
    return seal


def _check_file(file: InputFile, seal: Seal | None) -> None:
    if seal is Seal.BATCH and file.seal != Seal.BATCH:
        raise InvalidRequestError(
            "input_file_id: this file is kept, and the batch retains nothing; upload it with "
            "retention=none",
            param="input_file_id",
        )
    if file.seal == Seal.BATCH and seal is not Seal.BATCH:
        raise InvalidRequestError(
            'input_file_id: this file retains nothing, so its batch needs "retention": "none"',
            param="input_file_id",
        )


def begin_texts(tx: Tx, vault: Vault, batch: Batch) -> Texts:
    """How a new batch's texts are written, with a key of its own or its file's if it needs one.

    Raises:
        ConflictError: another batch was made of the file.
        SetupError: there is no keyring here.
    """
    if batch.seal == Seal.BATCH and batch.input_file_id is not None:
        take_over(tx, batch.input_file_id, batch.id)
    elif batch.seal == Seal.BATCH:
        make_text_key(tx, vault, new_key(), account_id=batch.account_id, batch_id=batch.id)
    return texts_of(tx, batch)
