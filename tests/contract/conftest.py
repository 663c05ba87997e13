"""A sender of each kind, and a provider to send to."""

from collections.abc import AsyncIterator, Iterator

import pytest

from app.domain.wire import Sender
from tests.contract.sending import make_sender
from tests.fakes.provider import FakeProvider


@pytest.fixture(params=["httpx", "fast", "fast, many", "guarded"])
async def sender(request: pytest.FixtureRequest) -> AsyncIterator[Sender]:
    made = make_sender(request.param)
    yield made
    await made.close()


@pytest.fixture
def provider() -> Iterator[FakeProvider]:
    with FakeProvider() as provider:
        yield provider
