"""Integration tests reach this machine, and no other."""

import socket

import pytest


def test_loopback_is_reached() -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as listener,
        socket.create_connection(listener.getsockname()) as connection,
    ):
        assert connection.getpeername() == listener.getsockname()


def test_another_address_is_refused() -> None:
    with pytest.raises(UserWarning, match=r"connect\(\) with host"):
        socket.create_connection(("192.0.2.1", 80), timeout=1)
