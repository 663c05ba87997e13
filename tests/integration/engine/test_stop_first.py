"""Which calls are the first that decide on the others, and how the others wait for them."""

from app.pipeline.record import record
from tests.factories.racing import run_at_once
from tests.fakes.engine import Engine
from tests.integration.engine.test_flow import QUICK, batch_of
from tests.integration.engine.test_stop import ended, no, prompts, yes


def test_no_more_are_in_flight_than_first_calls_are_to_come(engine: Engine) -> None:
    batch_id = engine.submit(prompts(80), stop_if_failed_percent=10, params=QUICK)
    engine.follow(*engine.queue.hints.popleft())
    first = engine.claim(wanted=30)
    assert (len(first), len(engine.claim(wanted=60)), len(engine.claim(wanted=1))) == (30, 20, 0)
    record(engine.services, [no(engine, one) for one in first[:5]])
    assert engine.claim(wanted=60) == []
    record(engine.services, [no(engine, first[5])])
    batch = ended(engine, batch_id)
    assert (batch.ending, batch.first_left, batch.first_failed) == ("too_many_failed", 44, 6)


def test_once_the_first_calls_have_ended_well_all_others_go_at_once(engine: Engine) -> None:
    engine.submit(prompts(80), stop_if_failed_percent=10, params=QUICK)
    engine.follow(*engine.queue.hints.popleft())
    record(engine.services, [yes(one) for one in engine.claim(wanted=80)])
    assert len(engine.claim(wanted=80)) == 30


def count_from_now(engine: Engine, batch_id: str, percent: int) -> None:
    """Let a batch count its first calls though more than those are in flight."""
    with engine.store.transaction() as tx:
        batch = batch_of(tx, batch_id)
        batch.stop_if_failed_percent, batch.first_left = percent, 50


def test_of_a_group_that_passes_the_fiftieth_only_the_first_count(engine: Engine) -> None:
    batch_id = engine.submit(prompts(60), params=QUICK)
    engine.follow(*engine.queue.hints.popleft())
    calls = engine.claim(wanted=60)
    count_from_now(engine, batch_id, percent=2)
    # In the order in which they came in, which is not that of their ids.
    came = [yes(one) for one in calls[10:59]] + [no(engine, one) for one in calls[:10]]
    record(engine.services, [*came, no(engine, calls[59])])
    batch = ended(engine, batch_id)
    assert (batch.first_left, batch.first_failed, batch.ending) == (0, 1, None)
    engine.drain()
    assert ended(engine, batch_id).state == "completed"


def test_writers_at_once_count_each_of_the_first_calls_exactly_once(engine: Engine) -> None:
    batch_id = engine.submit(prompts(64), params=QUICK)
    engine.follow(*engine.queue.hints.popleft())
    groups = [[no(engine, one) for one in engine.claim(wanted=8)] for _ in range(8)]
    count_from_now(engine, batch_id, percent=99)
    run_at_once(lambda n: record(engine.services, groups[n]), 8, threads=8)
    batch = ended(engine, batch_id)
    assert (batch.first_left, batch.first_failed) == (0, 50)
    assert batch.ending == "too_many_failed"
    engine.drain()
    assert ended(engine, batch_id).jobs_failed == 64
