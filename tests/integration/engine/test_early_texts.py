"""Prompts that go to the store while the rest of their lines is read: all of it stays, or nothing."""

from collections.abc import Callable, Iterator

import pytest
import sqlalchemy as sa
from sqlmodel import select

from app.domain.errors import InvalidRequestError, UnavailableError
from app.domain.spec import BatchBody
from app.models import Account, Batch, Job, StoredText
from app.pipeline import early_texts
from app.pipeline.lines import RawLine
from app.pipeline.submit import Submission, submit
from tests.fakes.engine import Engine

#: More than one block of them.
LINES = 1200
PROMPTS = [f"{number} " + "x" * 1000 for number in range(LINES)]
BODY = BatchBody.model_validate({"mode": "chat", "models": ["simulated/gold"]})


def lines_of(midway: Callable[[], object], last: bytes = b"") -> Iterator[RawLine]:
    """A line for each prompt; something happens after most of them, and one may follow."""
    for number, prompt in enumerate(PROMPTS):
        if number == LINES - 100:
            midway()
        yield RawLine(f"line {number + 1}", b'{"prompt":"%s"}' % prompt.encode())
    if last:
        yield RawLine(f"line {LINES + 1}", last)


def send(
    engine: Engine, midway: Callable[[], object] = lambda: None, last: bytes = b"", key: str = ""
) -> str:
    """Submit them all; answers the batch's id."""
    lines = lines_of(midway, last)
    asked = Submission(engine.account_id, BODY, lines, idempotency_key=key or None)
    return submit(engine.services, asked).batch_id


def rows(engine: Engine) -> list[int]:
    """How many batches, jobs and texts there are."""
    counts = (select(sa.func.count()).select_from(one) for one in (Batch, Job, StoredText))
    with engine.store.read() as session:
        return [session.exec(count).one() for count in counts]


def has_begun() -> bool:
    """Whether some submit of this process is copying now."""
    return early_texts._ONE.locked()


def test_prompts_are_copied_while_lines_are_read_where_that_keeps_nobody_waiting(
    engine: Engine,
) -> None:
    seen = list[bool]()
    batch_id = send(engine, lambda: seen.append(has_begun()))
    assert seen == [not engine.store.is_sqlite]
    assert engine.prompts_of(batch_id) == PROMPTS
    assert not has_begun()


def test_i11_a_bad_last_line_takes_back_what_was_copied(engine: Engine) -> None:
    with pytest.raises(InvalidRequestError, match=f"line {LINES + 1}"):
        send(engine, last=b'{"prompt":1}')
    assert rows(engine) == [0, 0, 0]
    assert engine.prompts_of(send(engine)) == PROMPTS


def test_a_second_submit_meanwhile_waits_for_no_connection(engine: Engine) -> None:
    made = list[str]()
    batch_id = send(engine, lambda: made.append(send(engine)))
    assert engine.prompts_of(batch_id) == PROMPTS
    assert engine.prompts_of(made[0]) == PROMPTS


def test_the_same_key_meanwhile_makes_one_batch(engine: Engine) -> None:
    made = list[str]()
    batch_id = send(engine, lambda: made.append(send(engine, key="k")), key="k")
    assert made == [batch_id]
    assert rows(engine) == [1, LINES, LINES]


def test_k10_what_is_to_be_sealed_meanwhile_does_not_stay_in_plain(engine: Engine) -> None:
    def begin_to_seal() -> None:
        with engine.store.transaction() as tx:
            tx.get_one(Account, engine.account_id).seal = True

    if not engine.store.is_sqlite:
        with pytest.raises(UnavailableError, match="submit again"):
            send(engine, begin_to_seal)
        assert rows(engine) == [0, 0, 0]
    batch_id = send(engine, begin_to_seal)
    with engine.store.read() as session:
        stored = session.exec(select(StoredText.body).where(StoredText.batch_id == batch_id)).all()
    assert len(stored) == LINES
    assert not any("x" * 50 in body for body in stored)


@pytest.mark.parametrize("store_url", ["postgres"], indirect=True)
def test_a_store_that_goes_away_meanwhile_has_nothing_of_it(engine: Engine) -> None:
    def end_it() -> None:
        with engine.store.read() as session:
            session.connection().execute(
                sa.text(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                    "WHERE query LIKE 'COPY%' AND datname = current_database()"
                )
            )

    with pytest.raises(UnavailableError):
        send(engine, end_it)
    assert rows(engine) == [0, 0, 0]
    assert not has_begun()
    assert engine.prompts_of(send(engine)) == PROMPTS
