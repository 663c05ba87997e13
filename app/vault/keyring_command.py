"""Day keys that a command of the operator's keeps: in a KMS, a Vault, a machine of its own."""

import base64
import time
from collections.abc import Callable
from datetime import date

from typing_extensions import override

from app.domain.errors import SealError, SetupError, UnavailableError
from app.vault.cipher import Cipher, new_key
from app.vault.commands import run_command
from app.vault.keyring import Keyring

VARIABLE = "OVERNIGHT_KEYRING_COMMAND"
#: For so long a process uses a key that it was told: a command takes a while, and texts are many.
KEPT_S = 60.0


class CommandKeyring(Keyring):
    """Day keys behind a command, which is run with a verb, and a day behind most.

    `read DAY` prints the day's key in base64, or nothing if it has none; `make DAY` reads a new
    one from its standard input, and keeps it unless the day has one; `destroy DAY` destroys it;
    `list` prints the days that have one, each on a line. Each ends with exit code 0 within 30 s.

    Args:
        words: the command, split into words and run without a shell.
        clock: seconds that only ever rise.
    """

    def __init__(self, words: str, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._words = words
        self._clock = clock
        self._told: dict[date, tuple[float, Cipher]] = {}

    @override
    def cipher(self, day: date, *, make: bool = False) -> Cipher:
        """The key of a day, made if asked; one that was told is in memory for a minute.

        Raises:
            SealError: it was destroyed, or never was.
            SetupError: what the command prints is no key.
            UnavailableError: the command failed.
        """
        told_at, known = self._told.get(day, (0.0, None))
        if known is not None and self._clock() - told_at < KEPT_S:
            return known
        key = self._run("read", day)
        if not key and make:
            self._run("make", day, given=base64.b64encode(new_key()).decode())
            key = self._run("read", day)  # of two that make one at once, the first is kept
        if not key:
            self._told.pop(day, None)
            raise SealError(f"the key of {day} is not in the keyring (any more)")
        try:
            cipher = Cipher(base64.b64decode(key, validate=True))
        except ValueError:
            raise SetupError(f"{VARIABLE} prints no key of {day}") from None
        self._told[day] = (self._clock(), cipher)
        return cipher

    @override
    def days(self) -> list[date]:
        """The days that have a key, the oldest first.

        Raises:
            SetupError: what the command prints are no days.
            UnavailableError: the command failed.
        """
        try:
            return sorted(date.fromisoformat(line.strip()) for line in self._run("list").split())
        except ValueError:
            raise SetupError(f"{VARIABLE} lists something that is no day") from None

    @override
    def destroy(self, day: date) -> None:
        """Have the key of a day destroyed.

        Raises:
            UnavailableError: the command failed.
        """
        self._told.pop(day, None)
        self._run("destroy", day)

    def _run(self, verb: str, *day: date, given: str = "") -> str:
        try:
            return run_command(VARIABLE, self._words, verb, *map(str, day), given=given)
        except SetupError as error:
            raise UnavailableError(error.message) from None
