"""Modes are found by their names."""

import pytest

from app.domain.errors import InvalidRequestError
from app.modes.judge import Judge
from app.modes.registry import mode_for


def test_a_mode_is_found_by_its_name():
    assert isinstance(mode_for("judge"), Judge)


def test_an_unknown_mode_is_refused_with_the_ones_there_are():
    with pytest.raises(InvalidRequestError, match="there are chat, compare, judge") as refused:
        mode_for("duel")
    assert refused.value.param == "mode"
