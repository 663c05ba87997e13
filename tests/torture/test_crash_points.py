"""A process may die beside any commit, on either store."""

import pytest

from tests.fakes.crashing import die_and_go_on
from tests.fakes.provider import FakeProvider
from tests.fakes.story import PASSED, Stage
from tests.fakes.webhooks import FakeReceiver

POINTS = [f"{commit}.{side}" for commit in PASSED for side in ("before", "after")]
#: Commits that come again: a later round, a later window, another delivery.
LATER = [
    "record.after@3",
    "record.before@5",
    "advance.after@3",
    "delivery_record.before@2",
    "close.before@3",
]


@pytest.mark.parametrize("crash_at", [*POINTS, *LATER])
def test_q4_a_process_that_dies_beside_any_commit_loses_nothing_and_does_nothing_twice(
    stage: Stage, provider: FakeProvider, receiver: FakeReceiver, crash_at: str
) -> None:
    die_and_go_on(stage, crash_at, provider, receiver)
