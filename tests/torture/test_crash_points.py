"""A process may die beside any commit, on either store.

SQLite at every one; PostgreSQL at every third, another third for each side, and at all of them
with LONG=1: what is in a transaction, and what is not, is the same code on both.
"""

import pytest

from tests.fakes.chores import CHORES
from tests.fakes.crashing import BESIDE, ENGINE, Story, die_and_go_on
from tests.fakes.provider import FakeProvider
from tests.fakes.story import PASSED, Stage
from tests.fakes.webhooks import FakeReceiver

#: Commits that come again: a later round, a later window, another delivery.
LATER = [
    "record.after@3",
    "record.before@5",
    "advance.after@3",
    "delivery_record.before@2",
    "close.before@3",
    "purge.after@5",
    "purge.before@9",
]


def points() -> list[tuple[Story, str]]:
    """Every moment beside a commit, with the story that comes by it."""
    found = [
        (story, f"{commit}.{side}")
        for story, commits in ((ENGINE, PASSED), (BESIDE, CHORES))
        for commit in commits
        for side in ("before", "after")
    ]
    later = [(BESIDE if point.startswith("purge") else ENGINE, point) for point in LATER]
    return found + later


def cases() -> list[object]:
    """Every moment on each store; those of PostgreSQL that are not run each time are long."""
    made = []
    for n, (story, crash_at) in enumerate(points()):
        is_third = (n // 2 + n % 2) % 3 == 0
        for kind in ("sqlite", "postgres"):
            marks = [] if kind == "sqlite" or is_third else [pytest.mark.long]
            made.append(pytest.param(kind, story, crash_at, marks=marks, id=f"{kind}-{crash_at}"))
    return made


@pytest.mark.parametrize(("store_url", "story", "crash_at"), cases(), indirect=["store_url"])
def test_q4_a_process_that_dies_beside_any_commit_loses_nothing_and_does_nothing_twice(
    stage: Stage, provider: FakeProvider, receiver: FakeReceiver, story: Story, crash_at: str
) -> None:
    die_and_go_on(stage, crash_at, provider, receiver, story)
