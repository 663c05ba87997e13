"""The master keys, the accounts' data keys wrapped by them, and secrets sealed by those.

Fernet has no associated data, so what is sealed names where it belongs, and opening checks
that: a ciphertext that was moved to another row does not open there.
"""

import base64
import hashlib
import time
from collections.abc import Callable
from typing import TypeVar

import msgspec
import structlog
from cryptography.fernet import Fernet, InvalidToken

from app.domain.errors import InvariantError, SealError, SetupError
from app.domain.secret import Secret
from app.vault.cipher import Cipher, Unseen
from app.vault.keyring import Keyring

log = structlog.get_logger(__name__)

_Shape = TypeVar("_Shape")

_VERSION = 1
_KID_CHARS = 8
#: Unwrapped data keys kept in memory; past that, all are forgotten and unwrapped again.
_DATA_KEYS_MAX = 10_000
#: How long a process that misses a master key waits before it reads them once more.
_RELOAD_INTERVAL_S = 2.0
HOW_TO_MAKE_A_KEY = (
    'python -c "from cryptography.fernet import Fernet; print(Fernet.generate_key().decode())"'
)


class Binding(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where a sealed secret belongs, down to its row. It opens nowhere else."""

    account_id: str
    kind: str
    row_id: str


class _SealedSecret(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    v: int
    binding: Binding
    secret: str


class _WrappedKey(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    v: int
    account_id: str
    data_key: str


class DataKey(Unseen):
    """An account's own key, unwrapped: it seals and opens, and can't be read."""

    __slots__ = ("_fernet", "account_id", "texts")

    def __init__(self, account_id: str, key: str) -> None:
        self.account_id = account_id
        self._fernet = Fernet(key)
        #: For texts and files, which are many.
        self.texts = Cipher(base64.urlsafe_b64decode(key))

    def seal(self, binding: Binding, secret: Secret) -> str:
        """A ciphertext of the secret that opens only where the binding says.

        Raises:
            InvariantError: the binding names another account.
        """
        if binding.account_id != self.account_id:
            raise InvariantError(f"{binding.row_id} would be sealed with another account's key")
        sealed = _SealedSecret(_VERSION, binding, secret.reveal())
        return self._fernet.encrypt(msgspec.json.encode(sealed)).decode()

    def open(self, binding: Binding, sealed: str) -> Secret:
        """The secret.

        Raises:
            SealError: it was damaged, or sealed elsewhere; names the row's id only.
        """
        found = _read(self._fernet, sealed, _SealedSecret)
        if found is None or found.binding != binding or found.v != _VERSION:
            raise SealError(f"what is sealed in {binding.row_id} does not open there")
        return Secret(found.secret)


class Vault(Unseen):
    """The master keys. The first wraps new data keys, and every one of them unwraps.

    Args:
        master_keys: Fernet keys, separated by commas.
        source: where they come from, for error messages.
        reload: reads them there again, so that a running process follows a rotation; None where
            they cannot change.
        fresh: reading them again costs so little that it is done before a new data key, too.
        keyring: the day keys, where they are kept; without, no batch can retain nothing.

    Raises:
        SetupError: one of them is no Fernet key; names its position, not its value.
    """

    __slots__ = (
        *("_data_keys", "_fernets", "_fresh", "_keyring", "_reload", "_reloaded_at"),
        *("kids", "source"),
    )

    def __init__(
        self,
        master_keys: str,
        *,
        source: str = "BYOK_ENCRYPTION_KEY",
        reload: Callable[[], str] | None = None,
        fresh: bool = False,
        keyring: Keyring | None = None,
    ) -> None:
        self.source = source
        self._reload, self._fresh = reload, fresh
        self._reloaded_at = float("-inf")
        self._keyring = keyring
        self._fernets = _fernets_of(master_keys, source)
        #: The master keys' ids, the one that wraps new data keys first.
        self.kids = tuple(self._fernets)
        self._data_keys: dict[tuple[str, str], DataKey] = {}

    @property
    def has_keyring(self) -> bool:
        """Whether there are day keys here."""
        return self._keyring is not None

    @property
    def keyring(self) -> Keyring:
        """The day keys.

        Raises:
            SetupError: there is no keyring here.
        """
        if self._keyring is None:
            raise SetupError("there is no keyring here; set OVERNIGHT_KEYRING_DIR")
        return self._keyring

    def refresh(self) -> None:
        """Read the master keys again where they are kept, if they may have changed there.

        Raises:
            SetupError: they cannot be read, or are malformed.
        """
        if self._reload is not None:
            self._fernets = _fernets_of(self._reload(), self.source)
            self.kids = tuple(self._fernets)

    def new_data_key(self, account_id: str) -> tuple[str, str]:
        """A new data key for the account, wrapped, and the id of the master key that wraps it."""
        if self._fresh:
            self.refresh()
        return self._wrap(account_id, new_fernet_key())

    def rewrap(self, account_id: str, wrapped: str, kid: str) -> tuple[str, str]:
        """The same data key, wrapped by the first master key, and that one's id.

        Raises:
            SealError: it does not open here.
        """
        return self._wrap(account_id, self._unwrap(account_id, wrapped, kid))

    def data_key(self, account_id: str, wrapped: str, kid: str) -> DataKey:
        """The account's data key, unwrapped.

        Raises:
            SealError: it was damaged, belongs to another account, or its master key is not here.
        """
        known = self._data_keys.get((account_id, wrapped))
        if known is not None:
            return known
        data_key = DataKey(account_id, self._unwrap(account_id, wrapped, kid))
        if len(self._data_keys) >= _DATA_KEYS_MAX:
            self._data_keys.clear()
        self._data_keys[account_id, wrapped] = data_key
        return data_key

    def _wrap(self, account_id: str, data_key: str) -> tuple[str, str]:
        kid = self.kids[0]
        key = _WrappedKey(_VERSION, account_id, data_key)
        return self._fernets[kid].encrypt(msgspec.json.encode(key)).decode(), kid

    def _unwrap(self, account_id: str, wrapped: str, kid: str) -> str:
        if kid not in self._fernets:
            self._follow_rotation()
        if kid not in self._fernets:
            raise SealError(
                f"the data key of {account_id} is wrapped by master key {kid}, which is not here"
            )
        found = _read(self._fernets[kid], wrapped, _WrappedKey)
        if found is None or found.account_id != account_id or found.v != _VERSION:
            raise SealError(f"the data key of {account_id} does not open")
        return found.data_key

    def _follow_rotation(self) -> None:
        """Read the master keys again, but not over and over: the key may really be missing."""
        now = time.monotonic()
        if now - self._reloaded_at < _RELOAD_INTERVAL_S:
            return
        self._reloaded_at = now
        try:
            self.refresh()
        except SetupError as error:
            log.warning("master_keys_not_read_again", detail=error.message)


def _fernets_of(master_keys: str, source: str) -> dict[str, Fernet]:
    keys = [key.strip() for key in master_keys.split(",")]
    return {
        kid_of(key): _fernet_of(key, f"{source}: key {position} of {len(keys)}")
        for position, key in enumerate(keys, start=1)
    }


def new_fernet_key() -> str:
    """A new Fernet key."""
    return Fernet.generate_key().decode()


def kid_of(key: str) -> str:
    """A master key's id: how its SHA-256 begins."""
    return hashlib.sha256(key.encode()).hexdigest()[:_KID_CHARS]


def _fernet_of(key: str, name: str) -> Fernet:
    try:
        return Fernet(key)
    except ValueError:
        raise SetupError(f"{name} is not a Fernet key; make one with {HOW_TO_MAKE_A_KEY}") from None


def _read(fernet: Fernet, token: str, shape: type[_Shape]) -> _Shape | None:
    try:
        return msgspec.json.decode(fernet.decrypt(token.encode()), type=shape)
    except (InvalidToken, msgspec.MsgspecError, UnicodeError):
        return None
