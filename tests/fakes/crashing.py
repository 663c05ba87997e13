"""A story broken off beside a commit, and told to its end by the next process."""

import multiprocessing
import signal
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from sqlmodel import select

from app.db import Commit
from app.models import Attempt, Batch, Call, Delivery, Event, IdempotencyKey
from app.pipeline.laws import check_laws
from tests.fakes.chores import Chores, check_left, die_at_chores
from tests.fakes.provider import FakeProvider
from tests.fakes.story import ENDS, Stage, Teller, die
from tests.fakes.webhooks import FakeReceiver

DIES_WITHIN_S = 300
# A server of forks: it has no threads that a fork could catch in the middle of something.
FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload([die_at_chores.__module__])


@dataclass(frozen=True)
class Story:
    """What a process is at when it dies, who goes on with it, and what must be at its end."""

    die: Callable[[Stage, str], None]
    teller: type[Teller]
    check: Callable[[Teller, FakeProvider, FakeReceiver], None]


def die_and_go_on(
    stage: Stage,
    crash_at: str,
    provider: FakeProvider,
    receiver: FakeReceiver,
    story: Story | None = None,
) -> None:
    """Let one process die at its moment, another come to the end, and look at what there is."""
    story = story or ENGINE
    process = FORKS.Process(target=story.die, args=(stage, crash_at))
    process.start()
    process.join(DIES_WITHIN_S)
    assert process.exitcode == -signal.SIGKILL
    teller = story.teller(stage)
    try:
        teller.bury()
        teller.tell()
        story.check(teller, provider, receiver)
    finally:
        teller.store.close()


def check_end(teller: Teller, provider: FakeProvider, receiver: FakeReceiver) -> None:
    """Every batch ended as it must, once, and everybody was told."""
    with teller.store.read() as session:
        assert check_laws(session, teller.store) == []
        keys = session.exec(
            select(IdempotencyKey.key, Batch.state).join(
                Batch,
                IdempotencyKey.batch_id == Batch.id,  # type: ignore[arg-type]
            )
        ).all()
        assert len(session.exec(select(Batch.id)).all()) == len(ENDS)
        attempts = Counter(session.exec(select(Attempt.state)).all())
        unknowns = session.exec(select(Call.unknowns)).all()
        told = set(session.exec(select(Delivery.state)).all())
        events = set(session.exec(select(Event.id)).all())
    assert {key for key, _ in keys} == set(ENDS)
    assert all(state in ENDS[key] for key, state in keys), keys
    assert "sending" not in attempts
    asked = len(provider.journal)
    assert attempts["succeeded"] <= asked <= attempts["succeeded"] + attempts["unknown"]
    assert sum(unknowns) == attempts["unknown"]
    assert told == {"delivered"}
    assert {seen.headers["webhook-id"] for seen in receiver.journal} == events


#: The engine's own work, and what is done beside it.
ENGINE = Story(die, Teller, check_end)
BESIDE = Story(die_at_chores, Chores, check_left)
#: Where the rest of the commits are died beside.
ELSEWHERE = {
    Commit.RESTORE: "tests/integration/test_backup.py::"
    "test_q4_a_restore_that_dies_has_done_nothing_or_all_of_it",
}
