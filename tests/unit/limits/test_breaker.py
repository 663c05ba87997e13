"""The breakers that workers share."""

import pytest

from app.limits.breaker import FORGET_S, REFRESH_S, TRIAL_LEASE_S, TRIAL_MAX_S, Breaker
from app.limits.link import AWAY_S
from app.limits.local_breaker import OPEN_S
from tests.fakes.clock import FakeClock
from tests.fakes.redis import FakeSharedServer

LANE, MODEL = "lane_a", "acme/large"
TRIAL = f"overnight:breaker:{LANE} {MODEL}:trial"


def make_breaker(server: FakeSharedServer, name: str) -> Breaker:
    return Breaker(server.link(), name, clock=server.clock)


@pytest.fixture
def ada(server: FakeSharedServer) -> Breaker:
    return make_breaker(server, "wrk_ada")


@pytest.fixture
def bob(server: FakeSharedServer) -> Breaker:
    return make_breaker(server, "wrk_bob")


async def fail(*breakers: Breaker) -> None:
    for breaker in breakers:
        await breaker.failed(LANE, MODEL)


async def is_open(breaker: Breaker) -> bool:
    return (LANE, MODEL) in await breaker.open_models([LANE])


async def test_failures_of_several_workers_add_up(ada: Breaker, bob: Breaker) -> None:
    await fail(ada, bob, ada)
    assert await is_open(ada)
    assert await is_open(bob)


async def test_another_worker_hears_of_it_within_a_second(
    ada: Breaker, bob: Breaker, clock: FakeClock
) -> None:
    assert not await is_open(bob)
    await fail(ada, ada, ada)
    clock.advance(REFRESH_S)
    assert await is_open(bob)


async def test_another_worker_s_answer_begins_the_count_again(
    ada: Breaker, bob: Breaker, clock: FakeClock
) -> None:
    await fail(ada, ada)
    await bob.refresh()
    await bob.succeeded(LANE, MODEL)
    await fail(ada)
    clock.advance(REFRESH_S)
    assert not await is_open(bob)


async def test_of_many_workers_exactly_one_tries(
    ada: Breaker, server: FakeSharedServer, clock: FakeClock
) -> None:
    await fail(ada, ada, ada)
    clock.advance(OPEN_S + 1)
    others = [make_breaker(server, f"wrk_{number}") for number in range(20)]
    assert sum([await breaker.try_trial(LANE, MODEL) for breaker in others]) == 1
    assert all([await is_open(breaker) for breaker in others])


async def test_an_answer_to_one_worker_s_trial_closes_it_for_all(
    ada: Breaker, bob: Breaker, clock: FakeClock
) -> None:
    await fail(ada, ada, ada)
    clock.advance(OPEN_S + 1)
    assert await bob.try_trial(LANE, MODEL)
    await bob.succeeded(LANE, MODEL)
    clock.advance(REFRESH_S)
    assert not await is_open(ada)


async def test_an_answer_where_nothing_failed_costs_no_round_trip(
    ada: Breaker, server: FakeSharedServer
) -> None:
    for _ in range(100):
        await ada.succeeded(LANE, MODEL)
        await ada.open_models([LANE])
    assert server.runs == 1  # the one look of this second


async def test_asking_whether_to_try_is_not_repeated_within_the_second(
    ada: Breaker, bob: Breaker, clock: FakeClock
) -> None:
    await fail(ada, ada, ada)
    clock.advance(OPEN_S + 1)
    assert await ada.try_trial(LANE, MODEL)
    assert not await bob.try_trial(LANE, MODEL)
    for breaker in (ada, bob):
        assert (await breaker.open_models([LANE]))[LANE, MODEL] == pytest.approx(1.0)


async def test_a_dead_worker_s_trial_is_another_s_when_its_lease_is_over(
    ada: Breaker, bob: Breaker, clock: FakeClock, server: FakeSharedServer
) -> None:
    await fail(ada, ada, ada)
    clock.advance(OPEN_S + 1)
    await ada.try_trial(LANE, MODEL)
    assert 0 < await server.client().pttl(TRIAL) <= TRIAL_LEASE_S * 1000
    await server.client().delete(TRIAL)  # as its time to live does
    assert await bob.try_trial(LANE, MODEL)


async def test_a_trial_under_way_is_kept_but_not_for_ever(
    ada: Breaker, clock: FakeClock, server: FakeSharedServer
) -> None:
    await fail(ada, ada, ada)
    clock.advance(OPEN_S + 1)
    await ada.try_trial(LANE, MODEL)
    client = server.client()
    for seconds, is_kept in [(1, True), (TRIAL_MAX_S, False)]:
        await client.pexpire(TRIAL, 1000)
        clock.advance(seconds)
        await ada.refresh()
        assert (await client.pttl(TRIAL) > 1000) is is_kept


async def test_nobody_abandons_another_s_trial(
    ada: Breaker, bob: Breaker, clock: FakeClock
) -> None:
    await fail(ada, ada, ada)
    clock.advance(OPEN_S + 1)
    await ada.try_trial(LANE, MODEL)
    await bob.abandon_trial(LANE, MODEL)
    assert not await bob.try_trial(LANE, MODEL)
    await ada.abandon_trial(LANE, MODEL)
    assert await bob.try_trial(LANE, MODEL)


async def test_failures_of_long_ago_are_in_a_row_with_nothing(
    ada: Breaker, server: FakeSharedServer, clock: FakeClock
) -> None:
    await fail(ada, ada)
    assert await server.client().pttl(f"overnight:breaker:{LANE} {MODEL}:count") <= FORGET_S * 1000
    await fail(ada)
    clock.advance(FORGET_S + OPEN_S + 1)
    await ada.refresh()
    assert (
        await server.client().exists("overnight:breakers:open", "overnight:breakers:failing") == 0
    )


async def test_while_the_server_is_away_each_has_its_own(
    ada: Breaker, bob: Breaker, server: FakeSharedServer, clock: FakeClock
) -> None:
    server.go_away()
    await fail(ada, ada, ada)
    assert await is_open(ada)
    assert not await is_open(bob)
    clock.advance(OPEN_S + 1)
    assert [await ada.try_trial(LANE, MODEL) for _ in range(3)] == [True, False, False]
    await ada.succeeded(LANE, MODEL)
    assert not await is_open(ada)


async def test_when_the_server_is_back_what_it_knows_counts(
    ada: Breaker, bob: Breaker, server: FakeSharedServer, clock: FakeClock
) -> None:
    await fail(bob, bob, bob)
    server.go_away()
    assert not await is_open(ada)
    server.come_back()
    clock.advance(AWAY_S)
    assert await is_open(ada)


@pytest.mark.parametrize("looked", [True, False])
async def test_a_wiped_server_is_told_again_what_is_open(
    ada: Breaker, bob: Breaker, server: FakeSharedServer, clock: FakeClock, *, looked: bool
) -> None:
    if looked:
        await ada.refresh()
    await fail(ada, ada, ada)
    await server.client().flushall()
    clock.advance(REFRESH_S)
    await ada.refresh()
    assert await is_open(ada)
    assert await is_open(bob)


async def test_what_opened_while_the_server_was_away_is_told_when_it_is_back(
    ada: Breaker, bob: Breaker, server: FakeSharedServer, clock: FakeClock
) -> None:
    await ada.refresh()
    server.go_away()
    await fail(ada, ada, ada)
    assert await is_open(ada)
    clock.advance(REFRESH_S)
    await ada.refresh()
    server.come_back()
    clock.advance(AWAY_S)
    await ada.refresh()
    clock.advance(REFRESH_S)
    assert await is_open(ada)
    assert await is_open(bob)
