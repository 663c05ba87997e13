"""A secret is seen by who asks for it, and by nobody else."""

import copy
import json
import pickle
from dataclasses import dataclass

import msgspec
import pytest

from app.domain.secret import Secret

CANARY = "sk-canary-5f1c"


@dataclass(frozen=True, slots=True)
class Holder:
    name: str
    secret: Secret


def test_a_secret_is_there_for_who_asks() -> None:
    assert Secret(CANARY).reveal() == CANARY


@pytest.mark.parametrize(
    "show", [repr, str, "{}".format, "%s".__mod__], ids=["repr", "str", "format", "percent"]
)
def test_k12_no_text_of_a_secret_or_its_holder_shows_it(show) -> None:
    secret = Secret(CANARY)
    assert show(secret) == "***"
    assert CANARY not in show(Holder("mine", secret))


@pytest.mark.parametrize("write", [pickle.dumps, copy.copy, copy.deepcopy])
def test_k12_a_secret_is_not_pickled_or_copied(write) -> None:
    with pytest.raises(TypeError, match="not pickled"):
        write(Secret(CANARY))
    with pytest.raises(TypeError, match="not pickled"):
        pickle.dumps(Holder("mine", Secret(CANARY)))


@pytest.mark.parametrize("encode", [json.dumps, msgspec.json.encode])
def test_k12_a_secret_is_not_encoded(encode) -> None:
    with pytest.raises(TypeError):
        encode({"key": Secret(CANARY)})


def test_k12_a_secret_has_no_vars() -> None:
    with pytest.raises(TypeError):
        vars(Secret(CANARY))
