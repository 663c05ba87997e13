"""A test reaches as far as its folder says, and no further."""

import socket

import anyio.lowlevel
import pytest

BLOCKED = "A test tried to use socket"


def test_a_socket_is_refused_where_none_is_needed() -> None:
    with pytest.raises(UserWarning, match=BLOCKED):
        socket.socket(socket.AF_INET)
    with pytest.raises(UserWarning, match=BLOCKED):
        socket.getaddrinfo("localhost", 80)


async def test_a_coroutine_needs_no_such_socket() -> None:
    await anyio.lowlevel.checkpoint()


def test_a_test_bears_the_mark_of_its_folder(request: pytest.FixtureRequest) -> None:
    assert request.node.get_closest_marker("architecture")
    assert not request.node.get_closest_marker("allow_hosts")
