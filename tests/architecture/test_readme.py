"""The README keeps to what is there."""

import re
from pathlib import Path

import pytest

from app.domain.states import BatchState, CallState, DeliveryState, JobState

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "README.md").read_text()
NAMED = sorted(set(re.findall(r"`((?:tests/[\w/.]+|test_\w+\.py)(?:::\w+)?)`", TEXT)))


@pytest.mark.parametrize("named", NAMED)
def test_a_test_that_a_decision_names_exists(named: str) -> None:
    file, _, name = named.partition("::")
    paths = [ROOT / file] if "/" in file else list((ROOT / "tests").rglob(file))
    assert [path for path in paths if path.exists()], named
    if name:
        assert any(re.search(rf"def {name}\(", path.read_text()) for path in paths), named


def test_ten_decisions_name_at_least_ten_tests() -> None:
    assert len(re.findall(r"^\d+\. \*\*", TEXT, re.MULTILINE)) == 10
    assert len(NAMED) >= 10


@pytest.mark.parametrize(
    "path",
    sorted(set(re.findall(r"`((?:app|api|workers)/[\w/.]*)`", TEXT))),
)
def test_every_place_of_the_map_is_there(path: str) -> None:
    assert (ROOT / path).exists()


@pytest.mark.parametrize("kind", [BatchState, JobState, CallState, DeliveryState])
def test_the_state_machine_shows_every_state(kind: type) -> None:
    for state in kind:  # type: ignore[attr-defined]
        assert state.value in TEXT
