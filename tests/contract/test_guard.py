"""The guarded sender connects to what it checked, and to nothing else."""

from collections.abc import Iterator

import pytest

from app.domain.errors import AddressRefusedError, ProviderUnavailableError
from app.domain.wire import Request
from app.net import GuardedSender
from tests.fakes.provider import FakeProvider, answer
from tests.fakes.tls import contexts_for

METADATA = "169.254.169.254"
DEADLINE_S = 5.0
GOOD = "good.test"


class Names:
    """A name server that gives its answers in turn, and keeps count."""

    def __init__(self, *answers: tuple[str, ...]) -> None:
        self.answers = list(answers)
        self.asked: list[str] = []

    async def __call__(self, host: str, _port: int) -> tuple[str, ...]:
        self.asked.append(host)
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


@pytest.fixture
def provider() -> Iterator[FakeProvider]:
    with FakeProvider() as provider:
        yield provider


def request_to(provider: FakeProvider, host: str = GOOD) -> Request:
    scheme = "https" if provider.tls else "http"
    body = b'{"model": "m", "messages": [{"role": "user", "content": "hi"}]}'
    return Request("POST", f"{scheme}://{host}:{provider.port}/v1/chat/completions", {}, body)


async def test_x7_the_connected_address_is_the_checked_one(provider: FakeProvider) -> None:
    names = Names(("127.0.0.1",), (METADATA,))
    sender = GuardedSender((GOOD,), resolver=names)
    response = await sender.send(request_to(provider), DEADLINE_S)
    await sender.close()
    assert response.status_code == 200
    assert names.asked == [GOOD]


async def test_x7_a_name_that_changes_is_checked_again_at_the_next_connection(
    provider: FakeProvider,
) -> None:
    names = Names(("127.0.0.1",), (METADATA,))
    provider.reply_with(answer(headers={"connection": "close"}))
    sender = GuardedSender((GOOD,), resolver=names)
    await sender.send(request_to(provider), DEADLINE_S)
    with pytest.raises(AddressRefusedError):
        await sender.send(request_to(provider), DEADLINE_S)
    await sender.close()
    assert len(provider.journal) == 1


@pytest.mark.parametrize("answers", [("127.0.0.1", METADATA), (METADATA, "127.0.0.1")])
async def test_x8_one_refused_answer_among_allowed_ones_means_no_connection(
    provider: FakeProvider, answers: tuple[str, ...]
) -> None:
    sender = GuardedSender((GOOD,), resolver=Names(answers))
    with pytest.raises(AddressRefusedError):
        await sender.send(request_to(provider), DEADLINE_S)
    await sender.close()
    assert provider.connections == 0


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "2130706433", "127.1", "[::1]"])
async def test_x1_without_trust_this_machine_is_not_reached(
    provider: FakeProvider, host: str
) -> None:
    sender = GuardedSender((), allow_http=True)
    with pytest.raises(AddressRefusedError):
        await sender.send(request_to(provider, host), DEADLINE_S)
    await sender.close()
    assert provider.connections == 0


async def test_a_name_that_is_not_found_means_that_nothing_was_bought(
    provider: FakeProvider,
) -> None:
    sender = GuardedSender((GOOD,), resolver=Names(()))
    with pytest.raises(ProviderUnavailableError) as caught:
        await sender.send(request_to(provider), DEADLINE_S)
    await sender.close()
    assert caught.value.reason == "connect"


async def test_this_machines_own_name_is_looked_up_for_real(provider: FakeProvider) -> None:
    # Servers on loopback often listen on one of its two addresses only.
    sender = GuardedSender(("localhost", "127.0.0.0/8", "::1/128"))
    response = await sender.send(request_to(provider, "localhost"), DEADLINE_S)
    await sender.close()
    assert response.status_code == 200


async def test_a_certificate_is_checked_against_the_name_and_not_the_address() -> None:
    server, client = contexts_for(GOOD)
    with FakeProvider(tls=server) as provider:
        sender = GuardedSender((GOOD,), resolver=Names(("127.0.0.1",)), tls=client)
        response = await sender.send(request_to(provider), DEADLINE_S)
        await sender.close()
    assert response.status_code == 200


async def test_x12_a_certificate_for_another_host_is_refused() -> None:
    server, client = contexts_for("other.test")
    with FakeProvider(tls=server) as provider:
        sender = GuardedSender((GOOD,), resolver=Names(("127.0.0.1",)), tls=client)
        with pytest.raises(ProviderUnavailableError) as caught:
            await sender.send(request_to(provider), DEADLINE_S)
        await sender.close()
        assert provider.journal == []
    assert caught.value.reason == "connect"


async def test_x12_a_certificate_that_nobody_vouches_for_is_refused() -> None:
    server, _ = contexts_for(GOOD)
    with FakeProvider(tls=server) as provider:
        sender = GuardedSender((GOOD,), resolver=Names(("127.0.0.1",)))
        with pytest.raises(ProviderUnavailableError):
            await sender.send(request_to(provider), DEADLINE_S)
        await sender.close()
        assert provider.journal == []
