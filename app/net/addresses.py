"""Which IP addresses may be reached.

Our own table, because Python's `is_global` says yes to multicast, to NAT64, 6to4 and
IPv4-compatible spellings of private addresses, and to the metadata services of some clouds.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_network,
)

from app.domain.errors import AddressRefusedError, SetupError

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

HOST_CHARS_MAX = 253
_NAME = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?:\.[a-z0-9_-]{1,63})*", re.ASCII)
_NUMBER = re.compile(r"0x[0-9a-f]*|[0-9]+", re.ASCII)

#: Metadata services and link-local networks: no name leads here, only a trusted network does.
_METADATA: tuple[Network, ...] = tuple(
    ip_network(text)
    for text in (
        "169.254.0.0/16",
        "100.100.100.200/32",  # Alibaba
        "192.0.0.192/32",  # Oracle
        "168.63.129.16/32",  # Azure
        "fe80::/10",
        "fd00:ec2::/32",  # AWS
        "fd20:ce::/32",  # Google
    )
)
#: IANA's special-purpose registry, and what is routed to nobody.
_REFUSED_V4: tuple[Network, ...] = tuple(
    ip_network(text)
    for text in (
        "0.0.0.0/8",
        "10.0.0.0/8",
        "100.64.0.0/10",
        "127.0.0.0/8",
        "168.63.129.16/32",
        "169.254.0.0/16",
        "172.16.0.0/12",
        "192.0.0.0/24",
        "192.0.2.0/24",
        "192.88.99.0/24",
        "192.168.0.0/16",
        "198.18.0.0/15",
        "198.51.100.0/24",
        "203.0.113.0/24",
        "224.0.0.0/4",
        "240.0.0.0/4",
    )
)
#: IPv6 is global unicast or nothing, less what carries an IPv4 address or is documentation.
_GLOBAL_V6 = IPv6Network("2000::/3")
_REFUSED_V6: tuple[Network, ...] = tuple(
    ip_network(text)
    for text in (
        "2001::/23",  # protocol assignments, Teredo (2001::/32) among them
        "2001:db8::/32",
        "2002::/16",  # 6to4
        "3fff::/20",
    )
)


@dataclass(frozen=True, slots=True)
class Trusted:
    """Hosts and networks that the operator lets us reach although they are private."""

    names: frozenset[str]
    networks: tuple[Network, ...]

    def has_address(self, address: Address) -> bool:
        """Whether a trusted network holds the address."""
        return _within(unwrapped(address), self.networks)

    def has_host(self, host: str) -> bool:
        """Whether the host is trusted as it is written, before any lookup."""
        if host in self.names:
            return True
        address = literal_address(host)
        if address is None and host == "localhost":
            address = IPv4Address("127.0.0.1")
        return address is not None and self.has_address(address)

    def allows(self, host: str, address: Address) -> bool:
        """Whether a connection to `host` may go to `address`."""
        if is_public(address) or self.has_address(address):
            return True
        return host in self.names and not _within(unwrapped(address), _METADATA)


def is_public(address: Address) -> bool:
    """Whether the address is one of the open internet's."""
    address = unwrapped(address)
    if isinstance(address, IPv4Address):
        return not _within(address, _REFUSED_V4)
    return address in _GLOBAL_V6 and not _within(address, _REFUSED_V6)


def unwrapped(address: Address) -> Address:
    """The IPv4 address that an IPv4-mapped IPv6 address stands for, else the address itself."""
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address


def literal_address(host: str) -> Address | None:
    """The address a host is written as, or None if it is a name.

    Raises:
        AddressRefusedError: it is an address in a spelling other than the plain one
            (`127.1`, `0x7f000001`, `2130706433`, `017700000001`), which systems read differently.
    """
    if not (":" in host or _NUMBER.fullmatch(host.rpartition(".")[2])):
        return None
    try:
        address = ip_address(host)
    except ValueError:
        raise AddressRefusedError(
            f"{host[:80]!r} is not an address in its plain spelling"
        ) from None
    if isinstance(address, IPv6Address) and address.scope_id:
        raise AddressRefusedError("an address with a zone is not allowed")
    return address


def checked_name(host: str) -> str:
    """The host's name in lower case.

    Raises:
        AddressRefusedError: it is no name in ASCII. International names are taken as `xn--…`
            only, so that there is one spelling of a host and not one for each Unicode form.
    """
    name = host.lower()
    if len(name) > HOST_CHARS_MAX or not _NAME.fullmatch(name):
        raise AddressRefusedError(f"{host[:80]!r} is not a host name in plain ASCII")
    return name


def parse_trusted(trusted: Sequence[str]) -> Trusted:
    """Read the operator's list: networks, addresses and names, without scheme or port.

    Raises:
        SetupError: an entry is none of these.
    """
    return _parse_trusted(tuple(trusted))


@lru_cache(maxsize=64)
def _parse_trusted(trusted: tuple[str, ...]) -> Trusted:
    names, networks = set(), []
    for entry in trusted:
        try:
            networks.append(ip_network(entry.strip("[]"), strict=False))
        except ValueError:
            try:
                names.add(checked_name(entry))
            except AddressRefusedError:
                raise SetupError(
                    f"OVERNIGHT_TRUSTED_HOSTS: {entry!r} is neither a host name nor a network; "
                    "write e.g. ollama.internal, 127.0.0.0/8"
                ) from None
    return Trusted(frozenset(names), tuple(networks))


def _within(address: Address, networks: tuple[Network, ...]) -> bool:
    return any(address in network for network in networks if network.version == address.version)
