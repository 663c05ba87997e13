"""Day keys behind a command of the operator's: one a day, the first that was made, then destroyed."""

import sys
from datetime import date
from pathlib import Path

import pytest

from app.domain.errors import SealError, SetupError, UnavailableError
from app.settings import load_settings
from app.vault.custody import keyring_of
from app.vault.keyring import Keyring
from app.vault.keyring_command import KEPT_S, CommandKeyring
from tests.fakes.clock import FakeClock

DAY, NEXT = date(2026, 3, 1), date(2026, 3, 2)
#: What an operator might write; it notes each time that it is run.
SCRIPT = """
import sys
from pathlib import Path
here = Path(sys.argv[1])
verb, day = sys.argv[2], sys.argv[3] if len(sys.argv) > 3 else ""
with (here / "runs").open("a") as runs:
    print(verb, day, file=runs)
file = here / "keys" / (day or ".")
file.parent.mkdir(exist_ok=True)
if verb == "read":
    print(file.read_text() if file.exists() else "")
elif verb == "make" and not file.exists():
    file.write_text(sys.stdin.read())
elif verb == "destroy":
    file.unlink(missing_ok=True)
elif verb == "list":
    print("\\n".join(one.name for one in file.parent.joinpath("keys").iterdir()))
"""


@pytest.fixture
def words(tmp_path: Path) -> str:
    (tmp_path / "keep.py").write_text(SCRIPT)
    return f"{sys.executable} {tmp_path / 'keep.py'} {tmp_path}"


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def keyring(words: str, clock: FakeClock) -> Keyring:
    return CommandKeyring(words, clock=clock)


def runs(tmp_path: Path) -> list[str]:
    return (tmp_path / "runs").read_text().splitlines()


def test_a_days_key_is_made_once_and_the_same_for_every_process(
    keyring: Keyring, words: str
) -> None:
    sealed = keyring.cipher(DAY, make=True).seal(b"x", b"secret")
    keyring.cipher(NEXT, make=True)
    other = CommandKeyring(words)
    assert other.cipher(DAY, make=True).open(b"x", sealed) == b"secret"
    assert other.days() == [DAY, NEXT]


def test_k10_what_a_destroyed_key_sealed_opens_no_more(
    keyring: Keyring, words: str, clock: FakeClock
) -> None:
    sealed = keyring.cipher(DAY, make=True).seal(b"x", b"secret")
    CommandKeyring(words).destroy(DAY)
    clock.advance(KEPT_S)
    with pytest.raises(SealError, match="2026-03-01 is not in the keyring"):
        keyring.cipher(DAY)
    assert keyring.cipher(DAY, make=True).open(b"x", sealed) is None
    keyring.destroy(DAY)
    with pytest.raises(SealError):
        keyring.cipher(DAY)


def test_the_command_is_not_run_for_every_text(
    keyring: Keyring, tmp_path: Path, clock: FakeClock
) -> None:
    for _ in range(100):
        keyring.cipher(DAY, make=True)
    assert runs(tmp_path) == ["read 2026-03-01", "make 2026-03-01", "read 2026-03-01"]
    clock.advance(KEPT_S)
    keyring.cipher(DAY)
    assert len(runs(tmp_path)) == 4


def test_a_command_that_fails_is_tried_again_later_and_nothing_of_it_is_told(
    tmp_path: Path,
) -> None:
    for words in (f"{sys.executable} -c 'print(1/0)'", str(tmp_path / "none"), "'"):
        with pytest.raises(UnavailableError) as caught:
            CommandKeyring(words).cipher(DAY)
        assert "OVERNIGHT_KEYRING_COMMAND" in caught.value.message
        assert str(tmp_path) not in caught.value.message


def test_what_is_no_key_and_no_day_is_refused_unseen() -> None:
    keyring = CommandKeyring(f"{sys.executable} -c 'print(\"half-a-key\")'")
    for ask in (lambda: keyring.cipher(DAY), keyring.days):
        with pytest.raises(SetupError) as caught:
            ask()
        assert "half-a-key" not in caught.value.message


def test_the_day_keys_have_one_place(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("OVERNIGHT_DATA_DIR", str(tmp_path))
    assert type(keyring_of(load_settings())) is Keyring
    monkeypatch.setenv("OVERNIGHT_KEYRING_COMMAND", "keep-keys")
    assert isinstance(keyring_of(load_settings()), CommandKeyring)
    monkeypatch.setenv("OVERNIGHT_KEYRING_DIR", str(tmp_path))
    with pytest.raises(SetupError, match="one place"):
        keyring_of(load_settings())
