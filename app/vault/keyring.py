"""Day keys: what wraps the keys of batches that retain nothing, kept outside the database.

A file a day, which the scheduler destroys once nothing needs it: a copy of the database, made at
any time, opens nothing without the files of that time.
"""

import base64
import os
import re
from datetime import date
from pathlib import Path

from app.domain.errors import SealError, SetupError
from app.vault.cipher import Cipher, new_key
from app.vault.private import keep_private, sync_folder

_NAME = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)


class Keyring:
    """Day keys in a directory that only we can enter, shared by every process.

    Args:
        directory: made on the first use, mode 0700; its files have mode 0600.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def cipher(self, day: date, *, make: bool = False) -> Cipher:
        """The key of a day, made if asked. Nothing of it is kept in memory.

        Raises:
            SealError: it was destroyed, or is not on this machine.
            SetupError: the directory cannot be used.
        """
        path = self._path(day)
        try:
            if make and not path.exists():
                keep_private(path, base64.b64encode(new_key()).decode(), replace=False)
            return Cipher(base64.b64decode(path.read_text(encoding="ascii"), validate=True))
        except FileNotFoundError:
            raise SealError(f"the key of {day} is not in the keyring (any more)") from None
        except (OSError, ValueError) as error:
            raise SetupError(f"{path} cannot be used ({type(error).__name__})") from None

    def days(self) -> list[date]:
        """The days that have a key, the oldest first."""
        try:
            names = sorted(path.name for path in self._directory.iterdir())
        except FileNotFoundError:
            return []
        return [date.fromisoformat(name) for name in names if _NAME.fullmatch(name)]

    def destroy(self, day: date) -> None:
        """Overwrite the key of a day and delete it. What a file system keeps of it is its own."""
        path = self._path(day)
        try:
            with path.open("r+b") as file:
                file.write(os.urandom(path.stat().st_size))
                file.flush()
                os.fsync(file.fileno())
            path.unlink()
        except FileNotFoundError:
            return
        sync_folder(self._directory)

    def _path(self, day: date) -> Path:
        return self._directory / day.isoformat()
