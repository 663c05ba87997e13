"""Texts are plain, or open only in the row they were sealed for."""

import base64

import pytest

from app.domain.errors import GoneError, SealError
from app.models import Batch
from app.vault.cipher import Cipher, new_key
from app.vault.texts import PLAIN, SealedTexts, require_texts

CANARY = "prompt-canary-5512 ünïcödé 🦉"


@pytest.fixture
def texts() -> SealedTexts:
    return SealedTexts(Cipher(bytes(32)), "acct_a")


def test_plain_texts_are_what_they_are() -> None:
    assert PLAIN.row("job_1", "prompt", "batch_1", CANARY) == ("job_1", "prompt", "batch_1", CANARY)
    assert PLAIN.open("prompt", "job_1", "ovs1:no seal at all") == "ovs1:no seal at all"
    assert PLAIN.open_message("call.message", "call_1", "ovs1:x") == "ovs1:x"


def test_a_sealed_text_opens_where_it_was_sealed(texts: SealedTexts) -> None:
    owner, kind, batch_id, body = texts.row("job_1", "prompt", "batch_1", CANARY)
    assert (owner, kind, batch_id) == ("job_1", "prompt", "batch_1")
    assert "canary" not in body
    assert texts.open("prompt", "job_1", body) == CANARY
    assert texts.seal("prompt", "job_1", "") != texts.seal("prompt", "job_1", "")
    assert texts.open("answer", "call_1", texts.seal("answer", "call_1", "")) == ""


@pytest.mark.parametrize(
    ("account", "place", "row"),
    [("acct_b", "prompt", "job_1"), ("acct_a", "answer", "job_1"), ("acct_a", "prompt", "job_2")],
)
def test_k4_a_text_moved_to_another_place_does_not_open(
    texts: SealedTexts, account: str, place: str, row: str
) -> None:
    body = texts.seal("prompt", "job_1", CANARY)
    with pytest.raises(SealError, match=row):
        SealedTexts(Cipher(bytes(32)), account).open(place, row, body)


def test_k4_a_text_sealed_with_another_key_does_not_open(texts: SealedTexts) -> None:
    body = SealedTexts(Cipher(new_key()), "acct_a").seal("prompt", "job_1", CANARY)
    with pytest.raises(SealError):
        texts.open("prompt", "job_1", body)


def test_k5_a_damaged_text_names_its_row_and_nothing_else(texts: SealedTexts) -> None:
    body = texts.seal("prompt", "job_1", CANARY)
    flipped = bytearray(base64.b64decode(body[5:]))
    flipped[20] ^= 1
    damaged = ["", "ovs1:", body[:-4], body[5:], CANARY, "ovs1:ü", "ovs1:====", body + "A"]
    for kept in [*damaged, "ovs1:" + base64.b64encode(flipped).decode()]:
        with pytest.raises(SealError) as caught:
            texts.open("prompt", "job_1", kept)
        assert caught.value.message == "what is sealed in job_1 does not open there"


def test_messages_may_be_none_or_our_own_words(texts: SealedTexts) -> None:
    sealed = texts.seal_message("call.message", "call_1", CANARY)
    assert sealed is not None
    assert "canary" not in sealed
    assert texts.open_message("call.message", "call_1", sealed) == CANARY
    assert texts.seal_message("call.message", "call_1", None) is None
    assert texts.open_message("call.message", "call_1", None) is None
    assert texts.open_message("call.message", "call_1", "the key was deleted") == (
        "the key was deleted"
    )


def test_a_fingerprint_is_known_to_nobody_without_the_key(texts: SealedTexts) -> None:
    other = SealedTexts(Cipher(new_key()), "acct_a")
    assert texts.fingerprint(b"x") == texts.fingerprint(b"x") != texts.fingerprint(b"y")
    assert len({one.fingerprint(b"x") for one in (texts, other, PLAIN)}) == 3


def test_k12_what_holds_a_key_shows_nothing() -> None:
    cipher = Cipher(new_key())
    assert repr(cipher) == str(cipher) == "Cipher(***)"
    with pytest.raises(TypeError):
        vars(cipher)


@pytest.mark.parametrize(
    ("reason", "told"),
    [("acknowledged", "acknowledged"), ("retention_none", "24 hours"), ("purged", "purged")],
)
def test_text_that_is_gone_is_told_with_the_reason(reason: str, told: str) -> None:
    with pytest.raises(GoneError, match=told):
        require_texts(Batch(id="batch_1", gone_reason=reason))
    require_texts(Batch(id="batch_1"))
