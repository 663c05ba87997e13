"""Where the master key is kept, and whether it is the one that the store needs."""

import resource
from pathlib import Path

import structlog
from pydantic import SecretStr
from sqlmodel import select

from app.db import Store
from app.domain.errors import SetupError
from app.models import Account
from app.settings import Settings
from app.vault.commands import run_command
from app.vault.keyring import Keyring
from app.vault.keyring_command import CommandKeyring
from app.vault.master import HOW_TO_MAKE_A_KEY, Vault, new_fernet_key
from app.vault.private import keep_private

log = structlog.get_logger(__name__)

KEY_FILE = "byok-encryption-key"
KEYRING = "keyring"
VARIABLE = "BYOK_ENCRYPTION_KEY"


def load_vault(settings: Settings) -> Vault:
    """The vault with the operator's master key, or on one machine with a key file's.

    From here on this process leaves no core dump, which would hold the key.

    Raises:
        SetupError: the key is malformed, cannot be read, is set in two ways, or is not set where
            every process needs the same.
    """
    _forbid_core_dumps()
    _check_one_custody(settings)
    keyring = keyring_of(settings)
    given, command = settings.byok_encryption_key, settings.byok_encryption_key_command
    if given is not None and given.get_secret_value().strip():
        return Vault(given.get_secret_value(), keyring=keyring)
    if command is not None and command.get_secret_value().strip():
        words = command.get_secret_value()
        return Vault(
            run_key_command(words),
            source=f"{VARIABLE}_COMMAND",
            reload=lambda: run_key_command(words),
            keyring=keyring,
        )
    path = key_file_of(settings)
    if path is None:
        raise SetupError(
            f"{VARIABLE} is not set, and DATABASE_URL names a server, whose processes all "
            f"need the same master key: make one with {HOW_TO_MAKE_A_KEY}, keep a copy of it away "
            "from the database, and set it for every process"
        )
    if settings.byok_encryption_key_file is None:
        _make_key_file(path)
    return Vault(
        read_key_file(path),
        source=str(path),
        reload=lambda: read_key_file(path),
        fresh=True,
        keyring=keyring,
    )


def keyring_of(settings: Settings) -> Keyring:
    """Where the day keys are kept: by the operator's command, or in a directory.

    Raises:
        SetupError: both are set.
    """
    command = settings.keyring_command
    if command is None or not command.get_secret_value().strip():
        return Keyring(settings.keyring_dir or settings.data_dir / KEYRING)
    if settings.keyring_dir is not None:
        raise SetupError(
            "OVERNIGHT_KEYRING_DIR and OVERNIGHT_KEYRING_COMMAND are set: the day keys have one "
            "place, so set one"
        )
    return CommandKeyring(command.get_secret_value())


def key_file_of(settings: Settings) -> Path | None:
    """The file that holds the master key, if a file does: the operator's, or one machine's own."""
    if _is_set(settings.byok_encryption_key) or _is_set(settings.byok_encryption_key_command):
        return None
    if settings.byok_encryption_key_file is not None:
        return settings.byok_encryption_key_file
    return settings.data_dir / KEY_FILE if settings.is_embedded else None


def _check_one_custody(settings: Settings) -> None:
    ways = {
        VARIABLE: _is_set(settings.byok_encryption_key),
        f"{VARIABLE}_FILE": settings.byok_encryption_key_file is not None,
        f"{VARIABLE}_COMMAND": _is_set(settings.byok_encryption_key_command),
    }
    found = [name for name, is_set in ways.items() if is_set]
    if len(found) > 1:
        raise SetupError(f"{' and '.join(found)} are set: the master key has one place, so set one")


def _is_set(value: SecretStr | None) -> bool:
    return value is not None and bool(value.get_secret_value().strip())


def _forbid_core_dumps() -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (0, hard))


def _make_key_file(path: Path) -> None:
    try:
        if not path.exists() and keep_private(path, new_fernet_key(), replace=False):
            log.warning(
                "master_key_made", path=str(path), advice="back it up: without it no key opens"
            )
    except OSError as error:
        raise SetupError(f"{path} cannot be read or made ({type(error).__name__})") from None


def read_key_file(path: Path) -> str:
    """The master keys in a file, separated by commas or line breaks there, by commas here.

    Raises:
        SetupError: it cannot be read; names the file and the kind of error.
    """
    try:
        return ",".join(path.read_text(encoding="utf-8").strip().splitlines())
    except (OSError, UnicodeError) as error:
        raise SetupError(f"{path} cannot be read or made ({type(error).__name__})") from None


def run_key_command(words: str) -> str:
    """What the operator's command prints: the master keys. It is run without a shell.

    Raises:
        SetupError: it failed or took too long; says how, and nothing of what it printed.
    """
    return ",".join(run_command(f"{VARIABLE}_COMMAND", words).splitlines())


def check_vault(store: Store, vault: Vault) -> None:
    """Refuse to start without a master key that some account's data key is wrapped by.

    Raises:
        SetupError: lists the ids of the keys that are missing.
    """
    with store.read() as session:
        kids = session.exec(
            select(Account.data_key_kid).where(Account.data_key_kid != "").distinct()
        ).all()
    missing = sorted(set(kids) - set(vault.kids))
    if missing:
        raise SetupError(
            f"the store needs master keys that are not here: {', '.join(missing)} (here: "
            f"{', '.join(vault.kids)}; a key's id is how its SHA-256 begins); add them to "
            "BYOK_ENCRYPTION_KEY, separated by commas, or restore the key file"
        )
