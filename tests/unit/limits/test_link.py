"""A server that fails is left alone for a moment, and its callers are told that it is away."""

from fakeredis import FakeAsyncRedis

from app.limits.link import AWAY_S, Link
from tests.fakes.clock import FakeClock
from tests.fakes.redis import FakeSharedServer

ECHO = "return { ARGV[2], KEYS[1] }"


async def test_a_script_is_given_keys_and_arguments(server: FakeSharedServer) -> None:
    assert await server.link().run(ECHO, ["key"], "word") == ["word", "key"]


async def test_a_script_knows_the_time_it_is_told(
    server: FakeSharedServer, clock: FakeClock
) -> None:
    assert await server.link().run("return now", []) == int(clock.ms())


async def test_by_default_the_time_is_the_server_s_own() -> None:
    now_ms = await Link(FakeAsyncRedis(decode_responses=True)).run("return now", [])
    assert now_ms is not None
    assert now_ms > 1_700_000_000_000


async def test_a_server_that_is_away_is_asked_again_after_a_while(
    server: FakeSharedServer, clock: FakeClock
) -> None:
    link = server.link()
    server.go_away()
    assert await link.run(ECHO, ["key"], "word") is None
    assert link.is_away
    server.come_back()
    assert await link.run(ECHO, ["key"], "word") is None
    clock.advance(AWAY_S)
    assert not link.is_away
    assert await link.run(ECHO, ["key"], "word") == ["word", "key"]


async def test_a_server_that_refuses_is_as_good_as_away(server: FakeSharedServer) -> None:
    link = server.link()
    assert await link.run("return redis.call('NO-SUCH-COMMAND')", []) is None
    assert link.is_away
