"""The grouped writer."""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

from app.domain.errors import UnavailableError
from app.domain.states import CallState
from app.pipeline.outcomes import Finished, given_back
from tests.unit.pipeline.test_outcomes import make_call
from workers import writer as writer_module
from workers.writer import GROUP_ROWS, Writer


def make_finished(n: int) -> Finished:
    """A call that was given back."""
    return given_back(make_call(id=f"call_{n}"), "test")


async def write_all(write: Callable[[Sequence[Finished]], object], count: int) -> None:
    """Put so many rows, and close."""
    with ThreadPoolExecutor(1) as executor:
        writer = Writer(write, executor)
        writer.start()
        for n in range(count):
            writer.put(make_finished(n))
        await writer.close()


async def test_everything_put_is_written_once_and_in_groups() -> None:
    groups: list[list[str]] = []
    await write_all(lambda group: groups.append([one.call.id for one in group]), 450)
    assert [id_ for group in groups for id_ in group] == [f"call_{n}" for n in range(450)]
    assert max(map(len, groups)) <= GROUP_ROWS
    assert len(groups) <= 4


async def test_a_store_that_is_away_is_waited_for(monkeypatch) -> None:
    monkeypatch.setattr(writer_module, "_RETRY_S", 0)
    written: list[str] = []
    failures = iter([UnavailableError(), UnavailableError()])

    def write(group: Sequence[Finished]) -> None:
        error = next(failures, None)
        if error is not None:
            raise error
        written.extend(one.call.id for one in group)

    await write_all(write, 5)
    assert written == [f"call_{n}" for n in range(5)]


async def test_a_row_the_store_refuses_fails_alone() -> None:
    written: dict[str, Finished] = {}

    def write(group: Sequence[Finished]) -> None:
        if any(one.call.id == "call_37" and one.reason != "unstorable" for one in group):
            raise ValueError("the store does not take it")
        written.update({one.call.id: one for one in group})

    await write_all(write, 100)
    assert len(written) == 100
    assert written["call_37"].state is CallState.FAILED
    assert written["call_37"].reason == "unstorable"
    assert {one.state for id_, one in written.items() if id_ != "call_37"} == {CallState.QUEUED}


async def test_a_row_that_can_never_be_written_does_not_hold_up_the_others() -> None:
    written: list[str] = []

    def write(group: Sequence[Finished]) -> None:
        if any(one.call.id == "call_3" for one in group):
            raise ValueError("never")
        written.extend(one.call.id for one in group)

    await asyncio.wait_for(write_all(write, 8), 10)
    assert sorted(written) == [f"call_{n}" for n in range(8) if n != 3]
