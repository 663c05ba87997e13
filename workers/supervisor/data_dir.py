"""The data directory, and the lock that keeps two supervisors from sharing one."""

import fcntl
import json
import os
from pathlib import Path
from typing import Any, Self

from app.domain.errors import SetupError

LOCK_FILE = "up.lock"
_FACTS_BYTES_MAX = 4096


class DataDirLock:
    """Holds the data directory for a `with` block; the system lets go of it if we die.

    Its file says who holds it, and stays behind with the last holder's facts.

    Raises:
        SetupError: another process holds it, or the directory cannot be used.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.previous: dict[str, Any] = {}

    def __enter__(self) -> Self:
        path = self.directory / LOCK_FILE
        try:
            self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise SetupError(
                f"the data directory {self.directory} cannot be used ({error.strerror}): mend "
                "that, or set OVERNIGHT_DATA_DIR to another"
            ) from None
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            holder = _read(self._descriptor).get("pid", "unknown")
            os.close(self._descriptor)
            raise SetupError(
                f"another `overnight up` (pid {holder}) holds {self.directory}: stop it, or set "
                "OVERNIGHT_DATA_DIR to another directory for this one"
            ) from None
        self.previous = _read(self._descriptor)
        self.note(pid=os.getpid())
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._descriptor)

    def note(self, **facts: str | int) -> None:
        """Write down who holds the directory, for people and for `overnight doctor`."""
        os.ftruncate(self._descriptor, 0)
        os.pwrite(self._descriptor, json.dumps(facts).encode(), 0)


def _read(descriptor: int) -> dict[str, Any]:
    try:
        facts = json.loads(os.pread(descriptor, _FACTS_BYTES_MAX, 0))
    except ValueError:  # empty, or cut short by a crash
        return {}
    return facts if isinstance(facts, dict) else {}
