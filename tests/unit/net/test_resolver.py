"""Every address a name leads to is checked."""

import pytest

from app.domain.errors import AddressRefusedError
from app.net import GuardedResolver, parse_trusted


async def lookup_of(*answers: str) -> GuardedResolver:
    async def lookup(_host: str, _port: int) -> list[str]:
        return list(answers)

    return GuardedResolver(parse_trusted(("10.1.0.0/16", "named.internal")), lookup)


@pytest.mark.parametrize(
    ("host", "answers"),
    [
        ("example.com", ("93.184.216.34", "10.0.0.1")),
        ("example.com", ("10.0.0.1", "93.184.216.34")),
        ("example.com", ("93.184.216.34", "::1")),
        ("example.com", ("93.184.216.34", "::ffff:127.0.0.1")),
        ("example.com", ("10.1.0.1", "10.2.0.1")),
        ("named.internal", ("192.168.0.1", "169.254.169.254")),
        ("named.internal", ("fd00:ec2::254",)),
        ("sub.named.internal", ("192.168.0.1",)),
    ],
)
async def test_x8_one_refused_address_among_the_answers_refuses_the_host(
    host: str, answers: tuple[str, ...]
) -> None:
    resolver = await lookup_of(*answers)
    with pytest.raises(AddressRefusedError):
        await resolver.resolve(host, 443)


@pytest.mark.parametrize(
    ("host", "answers"),
    [
        ("example.com", ("93.184.216.34", "2606:4700::1")),
        ("example.com", ("10.1.2.3",)),
        ("named.internal", ("192.168.0.1", "127.0.0.1", "fc00::1")),
    ],
)
async def test_the_addresses_handed_on_are_the_ones_that_were_checked(
    host: str, answers: tuple[str, ...]
) -> None:
    resolver = await lookup_of(*answers)
    assert [result["host"] for result in await resolver.resolve(host, 443)] == list(answers)


async def test_a_host_without_an_address_is_not_found() -> None:
    resolver = await lookup_of()
    with pytest.raises(OSError, match="no address"):
        await resolver.resolve("example.com", 443)
