"""The master keys, the accounts' data keys wrapped by them, and secrets sealed by those.

Fernet has no associated data, so what is sealed names where it belongs, and opening checks
that: a ciphertext that was moved to another row does not open there.
"""

import hashlib
from typing import NoReturn, TypeVar

import msgspec
from cryptography.fernet import Fernet, InvalidToken
from typing_extensions import override

from app.domain.errors import InvariantError, SealError, SetupError
from app.domain.secret import Secret

_Shape = TypeVar("_Shape")

_VERSION = 1
_KID_CHARS = 8
#: Unwrapped data keys kept in memory; past that, all are forgotten and unwrapped again.
_DATA_KEYS_MAX = 10_000
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


class _Unseen:
    """Something that holds a key: it is not shown, and not pickled."""

    __slots__ = ()

    @override
    def __repr__(self) -> str:
        return f"{type(self).__name__}(***)"

    @override
    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError(f"a {type(self).__name__} is not pickled or copied")


class DataKey(_Unseen):
    """An account's own key, unwrapped: it seals and opens, and can't be read."""

    __slots__ = ("_fernet", "account_id")

    def __init__(self, account_id: str, fernet: Fernet) -> None:
        self.account_id = account_id
        self._fernet = fernet

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


class Vault(_Unseen):
    """The master keys. The first wraps new data keys, and every one of them unwraps.

    Args:
        master_keys: Fernet keys, separated by commas.
        source: where they come from, for error messages.

    Raises:
        SetupError: one of them is no Fernet key; names its position, not its value.
    """

    __slots__ = ("_data_keys", "_fernets", "kids")

    def __init__(self, master_keys: str, *, source: str = "BYOK_ENCRYPTION_KEY") -> None:
        keys = [key.strip() for key in master_keys.split(",")]
        self._fernets: dict[str, Fernet] = {}
        for position, key in enumerate(keys, start=1):
            self._fernets[_kid_of(key)] = _fernet_of(
                key, f"{source}: key {position} of {len(keys)}"
            )
        #: The master keys' ids, the one that wraps new data keys first.
        self.kids = tuple(self._fernets)
        self._data_keys: dict[tuple[str, str], DataKey] = {}

    def new_data_key(self, account_id: str) -> tuple[str, str]:
        """A new data key for the account, wrapped, and the id of the master key that wraps it."""
        kid = self.kids[0]
        key = _WrappedKey(_VERSION, account_id, new_fernet_key())
        return self._fernets[kid].encrypt(msgspec.json.encode(key)).decode(), kid

    def data_key(self, account_id: str, wrapped: str, kid: str) -> DataKey:
        """The account's data key, unwrapped.

        Raises:
            SealError: it was damaged, belongs to another account, or its master key is not here.
        """
        known = self._data_keys.get((account_id, wrapped))
        if known is not None:
            return known
        if kid not in self._fernets:
            raise SealError(
                f"the data key of {account_id} is wrapped by master key {kid}, which is not here"
            )
        found = _read(self._fernets[kid], wrapped, _WrappedKey)
        if found is None or found.account_id != account_id or found.v != _VERSION:
            raise SealError(f"the data key of {account_id} does not open")
        data_key = DataKey(account_id, Fernet(found.data_key))
        if len(self._data_keys) >= _DATA_KEYS_MAX:
            self._data_keys.clear()
        self._data_keys[account_id, wrapped] = data_key
        return data_key


def new_fernet_key() -> str:
    """A new Fernet key."""
    return Fernet.generate_key().decode()


def _kid_of(key: str) -> str:
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
