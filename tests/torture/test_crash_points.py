"""A process may die beside any commit, on either store."""

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


@pytest.mark.parametrize(("story", "crash_at"), points(), ids=[at for _, at in points()])
def test_q4_a_process_that_dies_beside_any_commit_loses_nothing_and_does_nothing_twice(
    stage: Stage, provider: FakeProvider, receiver: FakeReceiver, story: Story, crash_at: str
) -> None:
    die_and_go_on(stage, crash_at, provider, receiver, story)
