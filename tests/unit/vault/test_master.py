"""What is sealed opens with the same keys in the same place, and nowhere else."""

import hashlib
import pickle

import pytest
from cryptography.fernet import Fernet

from app.domain.errors import InvariantError, SealError, SetupError
from app.domain.secret import Secret
from app.vault.master import Binding, DataKey, Vault, new_fernet_key

MASTER = new_fernet_key()
CANARY = "sk-canary-0b7e"
PLACE = Binding("acct_a", "provider_key:openai", "pk_1")


@pytest.fixture
def vault() -> Vault:
    return Vault(MASTER)


def data_key_of(vault: Vault, account_id: str) -> DataKey:
    return vault.data_key(account_id, *vault.new_data_key(account_id))


def test_a_sealed_secret_opens_where_it_was_sealed(vault: Vault) -> None:
    data_key = data_key_of(vault, "acct_a")
    sealed = data_key.seal(PLACE, Secret(CANARY))
    assert CANARY not in sealed
    assert data_key.open(PLACE, sealed).reveal() == CANARY


def test_a_wrapped_data_key_opens_in_another_process() -> None:
    wrapped, kid = Vault(MASTER).new_data_key("acct_a")
    sealed = Vault(MASTER).data_key("acct_a", wrapped, kid).seal(PLACE, Secret(CANARY))
    assert Vault(MASTER).data_key("acct_a", wrapped, kid).open(PLACE, sealed).reveal() == CANARY


def test_a_data_key_is_unwrapped_once(vault: Vault) -> None:
    wrapped, kid = vault.new_data_key("acct_a")
    assert vault.data_key("acct_a", wrapped, kid) is vault.data_key("acct_a", wrapped, kid)


def test_a_key_id_is_the_head_of_the_keys_sha256(vault: Vault) -> None:
    assert vault.kids == (hashlib.sha256(MASTER.encode()).hexdigest()[:8],)
    assert vault.new_data_key("acct_a")[1] == vault.kids[0]


def test_the_first_master_key_wraps_and_all_unwrap() -> None:
    old = Vault(MASTER)
    wrapped, kid = old.new_data_key("acct_a")
    both = Vault(f" {new_fernet_key()} , {MASTER} ")
    assert both.kids[1] == kid
    assert both.data_key("acct_a", wrapped, kid)
    assert both.new_data_key("acct_a")[1] == both.kids[0] != kid


@pytest.mark.parametrize(
    "elsewhere",
    [
        Binding("acct_a", "provider_key:openai", "pk_2"),
        Binding("acct_a", "provider_key:groq", "pk_1"),
        Binding("acct_b", "provider_key:openai", "pk_1"),
    ],
)
def test_k4_a_ciphertext_moved_to_another_row_does_not_open(
    vault: Vault, elsewhere: Binding
) -> None:
    data_key = data_key_of(vault, "acct_a")
    sealed = data_key.seal(PLACE, Secret(CANARY))
    with pytest.raises(SealError, match=elsewhere.row_id):
        data_key.open(elsewhere, sealed)


def test_k4_a_wrapped_data_key_moved_to_another_account_does_not_open(vault: Vault) -> None:
    wrapped, kid = vault.new_data_key("acct_a")
    vault.data_key("acct_a", wrapped, kid)
    with pytest.raises(SealError, match="acct_b"):
        vault.data_key("acct_b", wrapped, kid)


def test_k4_another_accounts_data_key_does_not_open(vault: Vault) -> None:
    sealed = data_key_of(vault, "acct_a").seal(PLACE, Secret(CANARY))
    with pytest.raises(SealError):
        data_key_of(vault, "acct_b").open(PLACE, sealed)


def test_k4_nothing_is_sealed_with_another_accounts_key(vault: Vault) -> None:
    with pytest.raises(InvariantError):
        data_key_of(vault, "acct_b").seal(PLACE, Secret(CANARY))


def test_k4_a_token_that_is_not_ours_does_not_open() -> None:
    key = Fernet.generate_key().decode()
    fernet, data_key = Fernet(key), DataKey("acct_a", key)
    for plaintext in (b"", b"null", b"\xff", CANARY.encode(), b'{"v": 1, "secret": "x"}'):
        with pytest.raises(SealError):
            data_key.open(PLACE, fernet.encrypt(plaintext).decode())


def damaged(token: str) -> list[str]:
    flipped = [
        token[:at] + ("A" if token[at] != "A" else "B") + token[at + 1 :]
        for at in range(0, len(token) - 4, 7)
    ]
    return [*flipped, token[:-1], token[: len(token) // 2], token[10:], "", "ü", "\udc80", " "]


def test_k5_a_damaged_ciphertext_names_its_row_and_nothing_else(vault: Vault) -> None:
    data_key = data_key_of(vault, "acct_a")
    for token in damaged(data_key.seal(PLACE, Secret(CANARY))):
        with pytest.raises(SealError) as caught:
            data_key.open(PLACE, token)
        assert caught.value.message == "what is sealed in pk_1 does not open there"


def test_k5_a_damaged_data_key_names_its_account_and_nothing_else(vault: Vault) -> None:
    wrapped, kid = vault.new_data_key("acct_a")
    for token in damaged(wrapped):
        with pytest.raises(SealError) as caught:
            vault.data_key("acct_a", token, kid)
        assert caught.value.message == "the data key of acct_a does not open"


def test_k7_a_data_key_of_an_unknown_master_key_names_the_key_id(vault: Vault) -> None:
    wrapped, kid = Vault(new_fernet_key()).new_data_key("acct_a")
    with pytest.raises(SealError, match=f"acct_a is wrapped by master key {kid}"):
        vault.data_key("acct_a", wrapped, kid)


@pytest.mark.parametrize(
    ("keys", "position"),
    [
        ("", "key 1 of 1"),
        ("not-a-key", "key 1 of 1"),
        (f"{MASTER},", "key 2 of 2"),
        (f"{MASTER},{MASTER[:-4]},{MASTER}", "key 2 of 3"),
        (f"{MASTER},{MASTER[:-2]}”=", "key 2 of 2"),
    ],
    ids=["none", "word", "comma", "short", "quote"],
)
def test_k7_a_malformed_master_key_is_named_by_its_position(keys: str, position: str) -> None:
    with pytest.raises(SetupError) as caught:
        Vault(keys)
    assert f"BYOK_ENCRYPTION_KEY: {position} is not a Fernet key" in caught.value.message
    assert MASTER[:-4] not in caught.value.message
    assert "not-a-key" not in caught.value.message


def test_k12_a_vault_and_a_data_key_show_nothing(vault: Vault) -> None:
    data_key = data_key_of(vault, "acct_a")
    for holder in (vault, data_key):
        assert repr(holder) == str(holder) == f"{type(holder).__name__}(***)"
        with pytest.raises(TypeError, match="not pickled"):
            pickle.dumps(holder)
        with pytest.raises(TypeError):
            vars(holder)
