"""Day keys: one a day, private, the same for every process, and gone once destroyed."""

from datetime import date
from pathlib import Path

import pytest

from app.domain.errors import SealError, SetupError
from app.vault.keyring import Keyring
from tests.factories.racing import run_at_once

DAY, NEXT = date(2026, 3, 1), date(2026, 3, 2)


def test_a_days_key_is_made_when_it_is_needed_and_is_private(tmp_path: Path) -> None:
    keyring = Keyring(tmp_path / "ring")
    assert keyring.days() == []
    sealed = keyring.cipher(DAY, make=True).seal(b"x", b"secret")
    assert Keyring(tmp_path / "ring").cipher(DAY).open(b"x", sealed) == b"secret"
    assert keyring.days() == [DAY]
    assert (tmp_path / "ring").stat().st_mode & 0o777 == 0o700
    assert (tmp_path / "ring" / "2026-03-01").stat().st_mode & 0o777 == 0o600


def test_k10_what_a_destroyed_key_sealed_opens_no_more(tmp_path: Path) -> None:
    keyring = Keyring(tmp_path)
    sealed = keyring.cipher(DAY, make=True).seal(b"x", b"secret")
    keyring.cipher(NEXT, make=True)
    keyring.destroy(DAY)
    keyring.destroy(DAY)
    assert keyring.days() == [NEXT]
    with pytest.raises(SealError, match="2026-03-01 is not in the keyring"):
        keyring.cipher(DAY)
    assert keyring.cipher(DAY, make=True).open(b"x", sealed) is None


def test_processes_that_need_a_days_key_at_once_have_the_same(tmp_path: Path) -> None:
    def seal(_: int) -> bytes:
        return Keyring(tmp_path).cipher(DAY, make=True).seal(b"x", b"secret")

    sealed = run_at_once(seal, 16, threads=16)
    assert {Keyring(tmp_path).cipher(DAY).open(b"x", one) for one in sealed} == {b"secret"}


def test_a_key_that_is_none_is_refused_by_its_name_alone(tmp_path: Path) -> None:
    (tmp_path / "2026-03-01").write_text("half-a-key ü", encoding="latin-1")
    (tmp_path / "notes").write_text("")
    with pytest.raises(SetupError) as caught:
        Keyring(tmp_path).cipher(DAY)
    assert "half-a-key" not in caught.value.message
    assert Keyring(tmp_path).days() == [DAY]
