"""The governor that workers share: one limit for all, and each its share when the server is away."""

import pytest

from app.domain.told import ToldLimits, ToldRate
from app.limits.governor import LEASE_S, REFRESH_S, Governor
from app.limits.lanes import HEADROOM, LaneLimits, Refusal
from app.limits.link import AWAY_S
from tests.fakes.clock import FakeClock
from tests.fakes.redis import FakeSharedServer

FREE = LaneLimits("lane_free")
#: Five go out at once.
BY_REQUESTS = LaneLimits("lane_a", rpm=200 / HEADROOM)
BY_PLACES = LaneLimits("lane_a", in_flight=10)


def make_governor(server: FakeSharedServer, name: str, *, workers: int = 1) -> Governor:
    return Governor(server.link(), name, workers=workers, clock=server.clock, jitter=lambda: 0.0)


@pytest.fixture
def ada(server: FakeSharedServer) -> Governor:
    return make_governor(server, "wrk_ada")


@pytest.fixture
def bob(server: FakeSharedServer) -> Governor:
    return make_governor(server, "wrk_bob")


async def test_workers_share_a_rate(ada: Governor, bob: Governor) -> None:
    assert (await ada.acquire(BY_REQUESTS, 3, 0)).granted == 3
    assert (await bob.acquire(BY_REQUESTS, 3, 0)).granted == 2


async def test_a_permit_that_one_gave_back_another_may_use(ada: Governor, bob: Governor) -> None:
    await ada.acquire(BY_REQUESTS, 5, 0)
    await ada.release(BY_REQUESTS, 2, 0)
    assert (await bob.acquire(BY_REQUESTS, 5, 0)).granted == 2


async def test_workers_share_the_places_in_flight(ada: Governor, bob: Governor) -> None:
    assert (await ada.acquire(BY_PLACES, 7, 0)).granted == 7
    assert (await bob.acquire(BY_PLACES, 7, 0)).granted == 3


async def test_a_place_that_one_left_another_may_take_after_the_next_telling(
    ada: Governor, bob: Governor
) -> None:
    await ada.acquire(BY_PLACES, 10, 0)
    await ada.finished("lane_a", 4)
    assert (await bob.acquire(BY_PLACES, 10, 0)).granted == 0
    await ada.refresh()
    assert (await bob.acquire(BY_PLACES, 10, 0)).granted == 4


async def test_a_dead_worker_s_places_come_back(
    ada: Governor, bob: Governor, clock: FakeClock
) -> None:
    await ada.acquire(BY_PLACES, 10, 0)
    clock.advance(LEASE_S - 1)
    assert (await bob.acquire(BY_PLACES, 10, 0)).granted == 0
    clock.advance(1)
    assert (await bob.acquire(BY_PLACES, 10, 0)).granted == 10


async def test_a_living_worker_keeps_its_places_however_long_its_calls_take(
    ada: Governor, bob: Governor, clock: FakeClock
) -> None:
    await ada.acquire(BY_PLACES, 10, 0)
    for _ in range(10):
        clock.advance(LEASE_S / 2)
        await ada.refresh()
    assert (await bob.acquire(BY_PLACES, 10, 0)).granted == 0


async def test_a_worker_that_is_done_with_a_lane_no_longer_tells_of_it(
    ada: Governor, server: FakeSharedServer
) -> None:
    await ada.acquire(BY_PLACES, 10, 0)
    await ada.finished("lane_a", 10)
    await ada.refresh()
    assert await server.client().exists("overnight:lane:lane_a:counts") == 0
    runs = server.runs
    await ada.refresh()
    assert server.runs == runs + 1


async def test_a_wiped_server_learns_of_the_places_again(
    ada: Governor, bob: Governor, server: FakeSharedServer
) -> None:
    await ada.acquire(BY_PLACES, 10, 0)
    await server.client().flushall()
    await ada.refresh()
    assert (await bob.acquire(BY_PLACES, 10, 0)).granted == 0


async def test_a_lane_without_limits_costs_a_round_trip_a_second_at_most(
    ada: Governor, server: FakeSharedServer, clock: FakeClock
) -> None:
    for lane in range(100):
        await ada.acquire(LaneLimits(f"lane_{lane}"), 50, 0)
        await ada.finished(f"lane_{lane}", 50)
    assert server.runs == 1
    clock.advance(REFRESH_S)
    await ada.acquire(FREE, 1, 0)
    assert server.runs == 2


async def test_p1_a_pause_is_everybody_s(ada: Governor, bob: Governor, clock: FakeClock) -> None:
    await bob.acquire(FREE, 1, 0)
    await ada.pause("lane_free", 20, "retry_after")
    await ada.pause("lane_a", 20, "retry_after")
    assert (await bob.acquire(BY_REQUESTS, 1, 0)).reason == "retry_after"
    clock.advance(REFRESH_S)
    grant = await bob.acquire(FREE, 1, 0)
    assert (grant.granted, grant.reason) == (0, "retry_after")
    assert bob.paused_for("lane_free") == pytest.approx(19, abs=0.01)


async def test_pauses_that_are_over_are_swept(
    ada: Governor, server: FakeSharedServer, clock: FakeClock
) -> None:
    await ada.pause("lane_a", 20, "retry_after")
    clock.advance(20.1)
    await ada.refresh()
    assert await server.client().exists("overnight:pauses", "overnight:pause-reasons") == 0


async def test_while_the_server_is_away_each_keeps_to_its_share(
    ada: Governor, bob: Governor, server: FakeSharedServer
) -> None:
    for governor in (ada, bob, ada):
        await governor.refresh()
    server.go_away()
    assert (await ada.acquire(BY_REQUESTS, 10, 0)).granted == 2
    assert (await ada.acquire(BY_PLACES, 10, 0)).granted == 3  # five in all, with those two
    assert (await ada.acquire(FREE, 10, 0)).granted == 10


async def test_a_server_that_was_never_there_leaves_the_share_that_was_configured(
    server: FakeSharedServer,
) -> None:
    server.go_away()
    alone = make_governor(server, "wrk_1", workers=5)
    assert (await alone.acquire(BY_PLACES, 10, 0)).granted == 2


async def test_what_was_taken_while_the_server_was_away_is_told_when_it_is_back(
    ada: Governor, bob: Governor, server: FakeSharedServer, clock: FakeClock
) -> None:
    server.go_away()
    assert (await ada.acquire(BY_PLACES, 8, 0)).granted == 8
    server.come_back()
    clock.advance(AWAY_S)
    await ada.refresh()
    assert (await bob.acquire(BY_PLACES, 8, 0)).granted == 2


async def test_a_pause_holds_here_though_the_server_is_away(
    ada: Governor, server: FakeSharedServer
) -> None:
    server.go_away()
    await ada.pause("lane_free", 20, "retry_after")
    assert (await ada.acquire(FREE, 1, 0)).granted == 0


async def test_workers_that_are_gone_no_longer_share(
    ada: Governor, bob: Governor, server: FakeSharedServer, clock: FakeClock
) -> None:
    await bob.refresh()
    clock.advance(LEASE_S + 1)
    await ada.refresh()
    server.go_away()
    assert (await ada.acquire(BY_PLACES, 10, 0)).granted == 10


async def test_a_thousand_idle_lanes_cost_no_more_than_none(
    ada: Governor, server: FakeSharedServer, clock: FakeClock
) -> None:
    for number in range(1000):
        lane_id = f"lane_{number}"
        await ada.acquire(LaneLimits(lane_id), 1, 100)
        ada.told(lane_id, ToldLimits(ToldRate(600, 599, 0.1)))
        ada.answered(lane_id, 0.1)
        await ada.finished(lane_id)
    await ada.refresh()
    clock.advance(2)
    await ada.refresh()
    runs, before = server.runs, len(server.replies)
    for _ in range(10):
        clock.advance(1)
        await ada.refresh()
    assert server.runs - runs == 10
    assert max(len(str(reply)) for reply in server.replies[before:]) < 200


async def test_what_one_worker_learns_the_others_keep_to(
    ada: Governor, bob: Governor, clock: FakeClock
) -> None:
    ada.told("lane_free", ToldLimits(ToldRate(200, 199, 0.3)))
    await ada.refresh()
    clock.advance(1)
    assert (await bob.acquire(FREE, 100, 0)).granted == 4


async def test_p1_a_refusal_cuts_the_lane_for_every_worker(
    ada: Governor, bob: Governor, clock: FakeClock
) -> None:
    for governor in (ada, bob):
        assert (await governor.acquire(FREE, 50, 0)).granted == 50
    clock.advance(1)
    await ada.refused("lane_free", Refusal(2.0, 1.0))
    clock.advance(1)
    assert (await bob.acquire(FREE, 1, 0)).granted == 0
    await ada.finished("lane_free", 50)
    await bob.finished("lane_free", 50)
    clock.advance(3)
    for governor in (ada, bob):
        await governor.refresh()
    tried = [(await governor.acquire(FREE, 9, 0)).granted for governor in (ada, bob)]
    assert sum(tried) == 1, "a single call of all workers tries"


async def test_a_wiped_server_is_told_again_what_was_learnt_and_paused(
    ada: Governor, bob: Governor, server: FakeSharedServer, clock: FakeClock
) -> None:
    ada.told("lane_free", ToldLimits(ToldRate(200, 199, 0.3)))
    await ada.pause("lane_a", 30, "retry_after")
    await ada.refresh()
    await server.client().flushall()
    clock.advance(1)
    await ada.refresh()
    clock.advance(1)
    assert (await bob.acquire(FREE, 100, 0)).granted == 4
    assert (await bob.acquire(BY_REQUESTS, 1, 0)).reason == "retry_after"


async def test_nothing_of_a_key_that_was_replaced_counts_any_more(
    ada: Governor, bob: Governor, server: FakeSharedServer, clock: FakeClock
) -> None:
    for governor in (ada, bob):
        assert not await governor.meet("lane_free", "pky_1")
    await ada.refused("lane_free", Refusal(3600.0, 0.1, "rate_limited", is_rate=True))
    await bob.refresh()
    assert (await bob.acquire(FREE, 1, 0)).granted == 0
    assert await bob.meet("lane_free", "pky_2")
    assert bob.has_other_key("lane_free", "pky_1")
    assert await ada.meet("lane_free", "pky_2")
    for _ in range(2):
        for governor in (ada, bob):
            assert (await governor.acquire(FREE, 5, 0)).granted == 5
        clock.advance(REFRESH_S)
    # What is said of the new one holds, whoever sees it when.
    await ada.pause("lane_free", 60, "rate_limited")
    late = make_governor(server, "wrk_late")
    assert not await late.meet("lane_free", "pky_2")
    assert (await late.acquire(FREE, 1, 0)).granted == 0


async def test_a_new_key_is_met_without_the_server_as_well(
    ada: Governor, server: FakeSharedServer
) -> None:
    await ada.meet("lane_free", "pky_1")
    server.go_away()
    await ada.pause("lane_free", 60, "rate_limited")
    assert await ada.meet("lane_free", "pky_2")
    assert (await ada.acquire(FREE, 5, 0)).granted == 5


async def test_a_lane_without_a_key_costs_no_round_trip(
    ada: Governor, server: FakeSharedServer
) -> None:
    assert not await ada.meet("lane_free", "")
    assert server.runs == 0
    assert await ada.meet("lane_free", "pky_1")
