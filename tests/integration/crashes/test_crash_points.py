"""A process may die beside any commit: what was accepted is done once, and the books balance.

Here beside some of them; `tests/torture` goes through all of them, on both stores.
"""

from collections.abc import Sequence
from pathlib import Path

import pytest

from app.domain.commits import Commit
from tests.fakes.chores import CHORES
from tests.fakes.crashing import BESIDE, ELSEWHERE, ENGINE, Story, die_and_go_on
from tests.fakes.provider import FakeProvider
from tests.fakes.story import PASSED, Stage
from tests.fakes.webhooks import FakeReceiver

POINTS = ["submit.after", "claim.after", "record.before", "record.after@2", "close.before"]


class Passed:
    """In a crash point's place: says where it would have died."""

    def __init__(self) -> None:
        self.seen: set[tuple[Commit | None, str]] = set()

    def pass_by(self, commit: Commit | None, side: str) -> None:
        """Note it."""
        self.seen.add((commit, side))


@pytest.mark.parametrize(("story", "commits"), [(ENGINE, PASSED), (BESIDE, CHORES)])
@pytest.mark.parametrize("store_url", ["sqlite"], indirect=True)
def test_a_story_passes_every_commit_that_it_says(
    stage: Stage,
    provider: FakeProvider,
    receiver: FakeReceiver,
    monkeypatch: pytest.MonkeyPatch,
    story: Story,
    commits: Sequence[Commit],
) -> None:
    passed = Passed()
    monkeypatch.setattr("app.db.CrashPoint", lambda _: passed)
    monkeypatch.setenv("OVERNIGHT_CRASH_AT", "grant.after")
    teller = story.teller(stage, "anywhere")
    teller.tell()
    story.check(teller, provider, receiver)
    assert set(commits) - {commit for commit, _ in passed.seen} == set()


def test_every_commit_of_the_product_is_died_beside() -> None:
    assert {*PASSED, *CHORES, *ELSEWHERE} == set(Commit)
    assert not set(PASSED) & set(CHORES)
    root = Path(__file__).parents[3]
    for place in ELSEWHERE.values():
        file, _, name = place.partition("::")
        assert f"def {name}(" in (root / file).read_text()


@pytest.mark.parametrize("crash_at", POINTS)
@pytest.mark.parametrize("store_url", ["sqlite"], indirect=True)
def test_q4_a_process_that_dies_beside_a_commit_loses_nothing_and_does_nothing_twice(
    stage: Stage, provider: FakeProvider, receiver: FakeReceiver, crash_at: str
) -> None:
    die_and_go_on(stage, crash_at, provider, receiver)
