"""The list of what may go wrong is whole, and every test that it names is there."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs/reliability.md").read_text()
CASES = {
    "Q": 28, "S": 11, "P": 19, "O": 8, "W": 12, "X": 13,
    "K": 14, "A": 12, "B": 10, "J": 10, "I": 20, "E": 5,
}  # fmt: skip
LINES = dict(re.findall(r"^\| ([A-Z]\d+) \| (.+) \|$", TEXT, re.MULTILINE))
NAMED = sorted(set(re.findall(r"`(tests/[\w/.]+::test_\w+)`", TEXT)))
#: Of the engine, none may be left without an answer.
ENGINE = [id_ for id_ in LINES if id_[0] in "QSPO" and id_ != "O5"]


def test_every_case_has_a_line() -> None:
    assert set(LINES) == {
        f"{letter}{n + 1}" for letter, count in CASES.items() for n in range(count)
    }


def test_every_test_that_shows_a_case_exists() -> None:
    missing = []
    for named in NAMED:
        file, _, name = named.partition("::")
        path = ROOT / file
        if not path.exists() or f"def {name}(" not in path.read_text():
            missing.append(named)
    assert missing == []
    assert len(NAMED) > 100


def test_every_case_of_the_engine_is_shown_or_answered_in_words() -> None:
    for case in ENGINE:
        line = LINES[case]
        by_word = "(#in-words)" in line and f"- **{case}.** " in TEXT
        assert by_word or any(f"`{named}`" in line for named in NAMED), case
