"""Whom failures are counted for."""

import pytest

from api.admission import address_of


class _Request:
    def __init__(self, host: str) -> None:
        self.client = type("Client", (), {"host": host})


@pytest.mark.parametrize(
    ("host", "counted_as"),
    [
        ("203.0.113.7", "203.0.113.7"),
        ("2001:db8:1:2:3::4", "2001:db8:1:2::/64"),
        ("testclient", "testclient"),
    ],
)
def test_a7_an_address_of_ipv6_counts_as_its_network(host: str, counted_as: str) -> None:
    assert address_of(_Request(host)) == counted_as
