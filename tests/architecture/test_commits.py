"""Every commit of the product has a name, so that a process can be made to die beside it."""

import ast
from collections import defaultdict

import pytest

from app.domain.commits import Commit, CrashPoint
from app.domain.errors import SetupError
from tests.architecture.source import PACKAGES, python_files


def transactions() -> dict[str, set[str]]:
    """What each module passes to `transaction(…)`, as it is written; nothing is `?`."""
    found = defaultdict(set)
    for name, source in python_files(*PACKAGES):
        for node in ast.walk(ast.parse(source)):
            match node:
                case ast.Call(func=ast.Attribute(attr="transaction"), args=args):
                    found[name].add(ast.unparse(args[0]) if args else "?")
    return found


def test_every_transaction_says_which_commit_it_is() -> None:
    unnamed = {name for name, commits in transactions().items() if "?" in commits}
    assert unnamed == set(), "pass a Commit of app/domain/commits.py to `transaction()`"


def test_every_commit_is_one_of_the_product() -> None:
    made = {commit for commits in transactions().values() for commit in commits}
    assert made == {f"Commit.{commit.name}" for commit in Commit}


@pytest.mark.parametrize("text", ["", "record", "record.", "nothing.after", "record.after@x"])
def test_a_moment_that_does_not_exist_is_refused(text: str) -> None:
    with pytest.raises(SetupError, match="OVERNIGHT_CRASH_AT"):
        CrashPoint(text)
