"""A process may die beside any commit: what was accepted is done once, and the books balance.

Here beside some of them; `tests/torture` goes through all of them, on both stores.
"""

import pytest

from app.domain.commits import Commit
from tests.fakes.crashing import check_end, die_and_go_on
from tests.fakes.provider import FakeProvider
from tests.fakes.story import PASSED, Stage, Teller
from tests.fakes.webhooks import FakeReceiver

POINTS = ["submit.after", "claim.after", "record.before", "record.after@2", "close.before"]


class Passed:
    """In a crash point's place: says where it would have died."""

    def __init__(self) -> None:
        self.seen: set[tuple[Commit | None, str]] = set()

    def pass_by(self, commit: Commit | None, side: str) -> None:
        """Note it."""
        self.seen.add((commit, side))


@pytest.mark.parametrize("store_url", ["sqlite"], indirect=True)
def test_the_story_passes_every_commit_of_the_engine(
    stage: Stage, provider: FakeProvider, receiver: FakeReceiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    passed = Passed()
    monkeypatch.setattr("app.db.CrashPoint", lambda _: passed)
    monkeypatch.setenv("OVERNIGHT_CRASH_AT", "grant.after")
    teller = Teller(stage, "anywhere")
    teller.tell()
    check_end(teller, provider, receiver)
    assert {commit for commit, _ in passed.seen} >= set(PASSED)


@pytest.mark.parametrize("crash_at", POINTS)
@pytest.mark.parametrize("store_url", ["sqlite"], indirect=True)
def test_q4_a_process_that_dies_beside_a_commit_loses_nothing_and_does_nothing_twice(
    stage: Stage, provider: FakeProvider, receiver: FakeReceiver, crash_at: str
) -> None:
    die_and_go_on(stage, crash_at, provider, receiver)
