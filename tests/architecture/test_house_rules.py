"""The rules of the house that no linter knows. Each exception has its reason beside it."""

import re
from collections.abc import Callable

import pytest

from tests.architecture.source import (
    PACKAGES,
    committed_files,
    lacks_a_docstring,
    name_of,
    prints,
    python_files,
    reads_environment,
    rules_a_transaction,
)

LINES_MAX = 300

LONGER: dict[str, str] = {
    "app/migrations/versions/0001_the_first_schema.py": "one change, never to be read as a program",
}
READS_THE_ENVIRONMENT: dict[str, str] = {"app/settings.py": "its one reader"}
RULES_TRANSACTIONS: dict[str, str] = {
    "app/db.py": "their one keeper",
    "app/migrations/__init__.py": "a change of schema is a transaction before there is a store",
}
PRINTS = ("api/cli/", "api/cli.py")  # a command prints

# In pieces, so that this file does not name what no file may name.
REGISTRIES = (
    ("pypi", "org"),
    ("pythonhosted", "org"),
    ("npmjs", "org"),
    ("npmjs", "com"),
    ("yarnpkg", "com"),
    ("debian", "org"),
    ("ubuntu", "com"),
    ("golang", "org"),
    ("crates", "io"),
    ("docker", "io"),
    ("docker", "com"),
    ("ghcr", "io"),
    ("quay", "io"),
    ("anaconda", "org"),
    ("maven", "org"),
    ("rubygems", "org"),
)
ADDRESSES = {
    "a package registry": "|".join(rf"\b{name}\.{ending}\b" for name, ending in REGISTRIES),
    "a private key": "-----BEGIN" + "[A-Z ]* PRIVATE" + " KEY",
    "a folder of one machine": r"(?<![\w./-])/(?:work|root)/",
}
LOOKS_ELSEWHERE = re.compile(
    r"://|^\s*--?(?:index|extra-index|find-links|trusted|f|i)\b", re.MULTILINE
)


def offenders(rule: Callable[[str], bool], *folders: str) -> set[str]:
    return {name for name, source in python_files(*folders) if rule(source)}


def test_no_file_is_too_long_to_read_at_once() -> None:
    long = {
        name
        for name, source in python_files(*PACKAGES, "tests")
        if len(source.splitlines()) > LINES_MAX
    }
    assert long <= set(LONGER)


def test_only_the_settings_read_the_environment() -> None:
    assert offenders(reads_environment, *PACKAGES) <= set(READS_THE_ENVIRONMENT)


def test_only_db_begins_and_commits() -> None:
    assert offenders(rules_a_transaction, *PACKAGES) <= set(RULES_TRANSACTIONS)


def test_only_commands_print() -> None:
    found = offenders(prints, *PACKAGES)
    assert {name for name in found if not name.startswith(PRINTS)} == set()


def test_every_module_says_what_it_is() -> None:
    assert offenders(lacks_a_docstring, *PACKAGES, "tests") == set()


@pytest.mark.parametrize("what", ADDRESSES)
def test_no_file_holds(what: str) -> None:
    pattern = re.compile(ADDRESSES[what])
    holders = {
        name_of(path): found.group()
        for path in committed_files()
        if (found := pattern.search(path.read_text(encoding="utf-8", errors="replace")))
    }
    assert holders == {}


def test_no_requirement_says_where_it_comes_from() -> None:
    files = [path for path in committed_files() if path.match("requirements*.txt")]
    assert len(files) == 4
    for path in files:
        text = path.read_text(encoding="utf-8")
        assert LOOKS_ELSEWHERE.search(text) is None
        assert all("--hash=sha256:" in entry for entry in re.split(r"\n(?=[a-z])", text))


@pytest.mark.parametrize(
    ("rule", "broken", "kept"),
    [
        (reads_environment, "import os\nos.environ['HOME']", "import os\nos.getpid()"),
        (reads_environment, "import os\nos.getenv('HOME')", "settings.environ"),
        (reads_environment, "from os import environ", "from os import getpid"),
        (rules_a_transaction, "session.commit()", "with transaction() as session: ..."),
        (rules_a_transaction, "with engine.begin(): ...", "begin()"),
        (prints, "print(1)", "console.print(1)"),
        (lacks_a_docstring, "import os", '"""Says so."""\nimport os'),
    ],
)
def test_a_rule_tells_a_breach_from_what_is_right(
    rule: Callable[[str], bool], broken: str, kept: str
) -> None:
    assert rule(broken)
    assert not rule(kept)
