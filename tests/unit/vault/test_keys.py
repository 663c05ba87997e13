"""What a client gives as a key is one that can be sent, or is refused without being repeated."""

import pickle
import traceback

import pytest

from app.domain.errors import InvalidRequestError
from app.domain.secret import Secret
from app.vault.lanes import LaneLimits
from app.vault.provider_keys import Credential, KeySetting, clean_key

CANARY = "sk-canary-91ad"


@pytest.mark.parametrize("text", [CANARY, f" {CANARY}\n", f"\t{CANARY}\r\n", f"\u00a0{CANARY}"])
def test_k2_what_surrounds_a_key_is_stripped(text: str) -> None:
    assert clean_key(text).reveal() == CANARY


@pytest.mark.parametrize(
    "text",
    [
        "",
        " \n",
        f"“{CANARY}”",
        f"{CANARY}\n{CANARY}",
        f"{CANARY} {CANARY}",
        f"{CANARY}\x00",
        f"{CANARY}\x7f",
        f"{CANARY}é",
        f"{CANARY}\ud800",
        CANARY * 1000,
    ],
    ids=["empty", "blank", "quotes", "line", "space", "nul", "del", "accent", "surrogate", "long"],
)
def test_k2_what_can_be_no_key_is_refused_without_an_echo(text: str) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        clean_key(text)
    assert caught.value.param == "api_key"
    told = "".join(traceback.format_exception(caught.value)) + repr(vars(caught.value))
    assert CANARY not in told


def test_k12_settings_and_credentials_show_no_key() -> None:
    secret = Secret(CANARY)
    for holder in (
        KeySetting("openai", secret),
        Credential("lane_1", "openai", None, secret),
    ):
        assert CANARY not in f"{holder} {holder!r}"
        with pytest.raises(TypeError, match="not pickled"):
            pickle.dumps(holder)


@pytest.mark.parametrize("limit", ["rpm", "tpm", "in_flight"])
@pytest.mark.parametrize("value", [0, -1, 2**31])
def test_i4_limits_that_cannot_be_are_refused_by_name(limit: str, value: int) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        LaneLimits(**{limit: value}).check()
    assert caught.value.param == f"limits.{limit}"


def test_limits_may_be_unset() -> None:
    LaneLimits().check()
    LaneLimits(rpm=1, tpm=2_000_000_000, in_flight=256).check()
