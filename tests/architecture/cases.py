"""Which test shows which case of docs/reliability.md, from the ids in the names of the tests.

`python -m tests.architecture.cases` writes the tables of the page anew.
"""

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs/reliability.md"
#: How many cases each list has.
CASES = {
    "Q": 28, "S": 11, "P": 19, "O": 8, "W": 12, "X": 13,
    "K": 14, "A": 12, "B": 10, "J": 10, "I": 20, "E": 5,
}  # fmt: skip
IDS = [f"{letter}{n + 1}" for letter, count in CASES.items() for n in range(count)]
#: The largest first; so many of them are named on the page.
FOLDERS = ("e2e", "torture", "integration", "contract", "unit", "architecture")
SHOWN = 3
_TEST = re.compile(r"^(?:    )?(?:async )?def (test_\w+)\(", re.MULTILINE)
_WORDS = re.compile(r"^- \*\*(\w+)\.\*\* ", re.MULTILINE)
_LINE = re.compile(r"^\| ([A-Z]\d+) \| .* \|$", re.MULTILINE)


def ids_of(name: str) -> Iterator[str]:
    """The cases in a test's name: `test_q1_…`, `test_k9_b10_…`, `test_i1_to_i5_…`."""
    words = name.removeprefix("test_").upper().split("_")
    for n, word in enumerate(words):
        if word == "TO" and n:
            first, last = words[n - 1], words[n + 1]
            yield from (f"{first[0]}{one}" for one in range(int(first[1:]) + 1, int(last[1:])))
        elif word in IDS:
            yield word
        else:
            return


def shown_by() -> Mapping[str, list[str]]:
    """The tests that show each case, by file and name, the largest first."""
    found = defaultdict(list)
    for folder in FOLDERS:
        for path in sorted((ROOT / "tests" / folder).rglob("test_*.py")):
            for name in _TEST.findall(path.read_text()):
                for case in ids_of(name):
                    found[case].append(f"{path.relative_to(ROOT)}::{name}")
    return found


def in_words(page: str) -> set[str]:
    """The cases that the page answers in words."""
    return set(_WORDS.findall(page))


def chosen(tests: Sequence[str]) -> list[str]:
    """Those that are named: of each file the first, and no more than fit."""
    by_file: dict[str, str] = {}
    for one in tests:
        by_file.setdefault(one.partition("::")[0], one)
    return list(by_file.values())[:SHOWN]


def line(case: str, tests: Sequence[str], *, is_in_words: bool) -> str:
    """A case's line of its table."""
    shown = [f"`{one}`" for one in chosen(tests)] + ["[in words](#in-words)"] * is_in_words
    return f"| {case} | {'<br>'.join(shown) or 'not yet'} |"


def written(page: str) -> str:
    """The page with its tables as the tests are now."""
    tests, words = shown_by(), in_words(page)

    def anew(old: re.Match[str]) -> str:
        case = old[1]
        return line(case, tests[case], is_in_words=case in words)

    return _LINE.sub(anew, page)


if __name__ == "__main__":
    PAGE.write_text(written(PAGE.read_text()))
