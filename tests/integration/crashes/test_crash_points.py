"""A process may die beside any commit: what was accepted is done once, and the books balance."""

import multiprocessing
import signal
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlmodel import select

from app.domain.commits import Commit
from app.models import Attempt, Batch, Call, Delivery, Event, IdempotencyKey
from app.pipeline.laws import check_laws
from app.vault.master import new_fernet_key
from tests.fakes.provider import FakeProvider
from tests.fakes.webhooks import FakeReceiver
from tests.integration.crashes.story import ENDS, Stage, Teller, die

DIES_WITHIN_S = 90
# A server of forks: it has no threads that a fork could catch in the middle of something.
FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload([die.__module__])
POINTS = [f"{commit}.{side}" for commit in Commit for side in ("before", "after")]
#: A commit that comes again: the second judge's round, a window after the first, and so on.
LATER = ["record.after@3", "advance.after@3", "delivery_record.before@2", "close.before@3"]


@pytest.fixture
def provider() -> Iterator[FakeProvider]:
    """What outlives the process, and remembers what it was asked."""
    with FakeProvider() as provider:
        yield provider


@pytest.fixture
def receiver() -> Iterator[FakeReceiver]:
    """What is told of the batches."""
    with FakeReceiver() as receiver:
        yield receiver


@pytest.fixture
def stage(
    store_url: str,
    tmp_path: Path,
    provider: FakeProvider,
    receiver: FakeReceiver,
    monkeypatch: pytest.MonkeyPatch,
) -> Stage:
    """A place for a story."""
    made = Stage(store_url, tmp_path, new_fernet_key(), provider.url, receiver.url)
    for name, value in made.environment.items():
        monkeypatch.setenv(name, value)
    return made


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


class Passed:
    """In a crash point's place: says where it would have died."""

    def __init__(self) -> None:
        self.seen: set[tuple[Commit | None, str]] = set()

    def pass_by(self, commit: Commit | None, side: str) -> None:
        """Note it."""
        self.seen.add((commit, side))


@pytest.mark.parametrize("store_url", ["sqlite"], indirect=True)
def test_the_story_passes_every_commit_there_is(
    stage: Stage, provider: FakeProvider, receiver: FakeReceiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    passed = Passed()
    monkeypatch.setattr("app.db.CrashPoint", lambda _: passed)
    monkeypatch.setenv("OVERNIGHT_CRASH_AT", "grant.after")
    teller = Teller(stage, "anywhere")
    teller.tell()
    check_end(teller, provider, receiver)
    assert {commit for commit, _ in passed.seen if commit} == set(Commit)


@pytest.mark.parametrize("crash_at", [*POINTS, *LATER])
@pytest.mark.parametrize("store_url", ["sqlite"], indirect=True)
def test_q4_a_process_that_dies_beside_a_commit_loses_nothing_and_does_nothing_twice(
    stage: Stage, provider: FakeProvider, receiver: FakeReceiver, crash_at: str
) -> None:
    process = FORKS.Process(target=die, args=(stage, crash_at))
    process.start()
    process.join(DIES_WITHIN_S)
    assert process.exitcode == -signal.SIGKILL
    teller = Teller(stage)
    teller.bury()
    teller.tell()
    check_end(teller, provider, receiver)
