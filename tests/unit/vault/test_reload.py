"""A running process follows a rotation of the master keys that are kept outside it."""

from collections.abc import Callable

import pytest

from app.domain.errors import SealError, SetupError
from app.domain.secret import Secret
from app.vault.master import Binding, Vault, new_fernet_key

OLD, NEW = new_fernet_key(), new_fernet_key()
PLACE = Binding("acct_a", "provider_key:openai", "pk_1")


class Source:
    """Where master keys are kept."""

    def __init__(self, keys: str) -> None:
        self.keys = keys
        self.reads = 0

    def read(self) -> str:
        self.reads += 1
        return self.keys


def failing() -> str:
    raise SetupError("the file cannot be read")


def test_k6_a_key_that_was_rewrapped_by_a_new_master_key_opens_in_a_running_process() -> None:
    source = Source(OLD)
    running = Vault(OLD, reload=source.read)
    wrapped, kid = running.new_data_key("acct_a")
    sealed = running.data_key("acct_a", wrapped, kid).seal(PLACE, Secret("sk-1"))
    source.keys = f"{NEW},{OLD}"
    again = Vault(source.keys).rewrap("acct_a", wrapped, kid)
    assert again[1] == Vault(NEW).kids[0]
    source.keys = NEW
    assert running.data_key("acct_a", *again).open(PLACE, sealed).reveal() == "sk-1"
    assert running.kids == Vault(NEW).kids


def test_new_data_keys_are_wrapped_by_the_key_that_is_first_now() -> None:
    source = Source(OLD)
    running = Vault(OLD, reload=source.read, fresh=True)
    source.keys = f"{NEW},{OLD}"
    assert running.new_data_key("acct_a")[1] == Vault(NEW).kids[0]


@pytest.mark.parametrize("reload", [None, failing, lambda: OLD])
def test_k7_a_master_key_that_is_nowhere_is_named_by_its_id(
    reload: Callable[[], str] | None,
) -> None:
    wrapped, kid = Vault(NEW).new_data_key("acct_a")
    with pytest.raises(SealError, match=kid):
        Vault(OLD, reload=reload).data_key("acct_a", wrapped, kid)


def test_a_master_key_that_is_missing_is_not_looked_for_again_and_again() -> None:
    wrapped, kid = Vault(NEW).new_data_key("acct_a")
    source = Source(OLD)
    running = Vault(OLD, reload=source.read)
    for _ in range(5):
        with pytest.raises(SealError):
            running.data_key("acct_a", wrapped, kid)
    assert source.reads == 1
