"""Where the master key is kept, and whether it is the one that the store needs."""

import os
import tempfile
from pathlib import Path

import structlog
from sqlmodel import select

from app.db import Store
from app.domain.errors import SetupError
from app.models import Account
from app.settings import Settings
from app.vault.master import HOW_TO_MAKE_A_KEY, Vault, new_fernet_key

log = structlog.get_logger(__name__)

KEY_FILE = "byok-encryption-key"


def load_vault(settings: Settings) -> Vault:
    """The vault with the operator's master key, or on one machine with a key file's.

    Raises:
        SetupError: the key is malformed, or none is set where every process needs the same.
    """
    given = settings.byok_encryption_key
    if given is not None and given.get_secret_value().strip():
        return Vault(given.get_secret_value())
    if not settings.is_embedded:
        raise SetupError(
            "BYOK_ENCRYPTION_KEY is not set, and DATABASE_URL names a server, whose processes all "
            f"need the same master key: make one with {HOW_TO_MAKE_A_KEY}, keep a copy of it away "
            "from the database, and set it for every process"
        )
    return _load_key_file(settings.data_dir / KEY_FILE)


def _load_key_file(path: Path) -> Vault:
    try:
        if not path.exists() and keep_private(path, new_fernet_key(), replace=False):
            log.warning(
                "master_key_made", path=str(path), advice="back it up: without it no key opens"
            )
        return Vault(path.read_text(encoding="utf-8"), source=str(path))
    except (OSError, UnicodeError) as error:
        raise SetupError(f"{path} cannot be read or made ({type(error).__name__})") from None


def check_vault(store: Store, vault: Vault) -> None:
    """Refuse to start without a master key that some account's data key is wrapped by.

    Raises:
        SetupError: lists the ids of the keys that are missing.
    """
    with store.read() as session:
        kids = session.exec(select(Account.data_key_kid).distinct()).all()
    missing = sorted(set(kids) - set(vault.kids))
    if missing:
        raise SetupError(
            f"the store needs master keys that are not here: {', '.join(missing)} (here: "
            f"{', '.join(vault.kids)}; a key's id is how its SHA-256 begins); add them to "
            "BYOK_ENCRYPTION_KEY, separated by commas, or restore the key file"
        )


def keep_private(path: Path, text: str, *, replace: bool) -> bool:
    """Write a file that only we can read, whole or not at all; whether it was written.

    Without `replace`, a file that is there stays, and of several writers one wins.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor, draft = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")  # mode 0600
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        return _put_in_place(Path(draft), path, replace=replace)
    finally:
        Path(draft).unlink(missing_ok=True)


def _put_in_place(draft: Path, path: Path, *, replace: bool) -> bool:
    if replace:
        draft.replace(path)
    else:
        try:
            os.link(draft, path)  # unlike a rename, it refuses to replace
        except FileExistsError:
            return False
    directory = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
    return True
