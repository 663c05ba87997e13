"""API keys carry a checksum, so that a typo is known without asking the store."""

import re
import string

from app.accounts.tokens import digest_of, is_well_formed, new_token

ALPHABET = string.ascii_letters + string.digits


def test_a_new_key_has_the_form_that_scanners_know() -> None:
    token = new_token().reveal()
    assert re.fullmatch(r"ovn_[0-9A-Za-z]{30}_[0-9A-Za-z]{6}", token)
    assert is_well_formed(token)
    assert token != new_token().reveal()


def test_a_key_is_stored_as_its_sha256() -> None:
    assert digest_of("abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def test_a3_every_typo_in_one_character_is_known() -> None:
    token = new_token().reveal()
    for at, right in enumerate(token):
        for wrong in ALPHABET + "_":
            if wrong != right:
                assert not is_well_formed(token[:at] + wrong + token[at + 1 :])


def test_a3_two_swapped_neighbours_are_known() -> None:
    token = new_token().reveal()
    for at in range(len(token) - 1):
        swapped = token[:at] + token[at + 1] + token[at] + token[at + 2 :]
        assert swapped == token or not is_well_formed(swapped)


def test_a6_what_is_no_key_at_all_is_known() -> None:
    token = new_token().reveal()
    for text in ("", "ovn_", token + "\n", " " + token, token + "\x00", token.lower(), token * 9):
        assert not is_well_formed(text)
    assert not is_well_formed("ovn_" + "٣" * 30 + "_" + "٣" * 6)
