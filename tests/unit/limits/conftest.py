"""A clock, and a server that several workers share."""

import pytest

from tests.fakes.clock import FakeClock
from tests.fakes.redis import FakeSharedServer


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def server(clock: FakeClock) -> FakeSharedServer:
    return FakeSharedServer(clock)
