"""Files and spools that are sealed from their first byte."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from app.domain.errors import SealError
from app.vault.cipher import Cipher
from app.vault.sealed_files import open_file, seal_file
from app.vault.spool import SealedSpool

CIPHER = Cipher(bytes(range(32)))
CANARY = b"prompt-canary-1177"


def frames(chunks: Sequence[bytes], file_id: str = "file_1") -> list[bytes]:
    return list(seal_file(CIPHER, file_id, chunks))


def opened(stored: Sequence[bytes], file_id: str = "file_1") -> bytes:
    return b"".join(open_file(CIPHER, file_id, stored))


@pytest.mark.parametrize("chunks", [[], [b""], [CANARY], [CANARY, b"", CANARY * 9]])
@pytest.mark.parametrize("size", [1, 7, 1 << 20])
def test_a_file_opens_however_it_is_cut(chunks: list[bytes], size: int) -> None:
    stored = b"".join(frames(chunks))
    assert CANARY not in stored
    cut = [stored[at : at + size] for at in range(0, len(stored), size)]
    assert opened(cut) == b"".join(chunks)


def test_k5_a_file_that_was_tampered_with_does_not_open() -> None:
    first, second, third = frames([b"one", b"two", b"three"])
    flipped = bytearray(second)
    flipped[-1] ^= 1
    for stored in (
        [],
        [first, second],
        [second, third],
        [first, third],
        [second, first, third],
        [first, second, third, third],
        [first, bytes(flipped), third],
        [first, second, third[:-1]],
        [b"\xff\xff\xff\xff"],
        [CANARY],
    ):
        with pytest.raises(SealError, match="file_1"):
            opened(stored)


def test_k4_a_file_under_anothers_id_does_not_open() -> None:
    with pytest.raises(SealError, match="file_2"):
        opened(frames([CANARY]), "file_2")


def test_a_spool_is_read_as_it_was_written(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.vault.spool._BLOCK_BYTES", 50)
    lines = [b"%d %s\n" % (n, CANARY) for n in range(20)] + [b"no line feed"]
    spool = SealedSpool()
    for line in lines:
        spool.write(line)
    for _ in range(2):
        spool.seek(0)
        assert list(spool) == lines
    spool.seek(0)
    assert spool.read(3) + spool.read(3) == lines[0][:6]
    with pytest.raises(ValueError, match="beginning"):
        spool.seek(4)
    spool.close()


def test_k10_nothing_of_a_spool_is_on_the_disk_in_plain(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(
        "app.vault.spool.tempfile.TemporaryFile", lambda: (tmp_path / "spool").open("w+b")
    )
    spool = SealedSpool()
    spool.write(CANARY * 100_000)
    spool.seek(0)
    assert len((tmp_path / "spool").read_bytes()) > 1_000_000
    assert CANARY not in (tmp_path / "spool").read_bytes()
    spool.close()
