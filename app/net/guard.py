"""The guard: a URL is checked where it is set, and again at every attempt, with its addresses."""

import asyncio
import re
import socket
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from ipaddress import IPv4Address, ip_address

from aiohttp.abc import AbstractResolver, ResolveResult
from typing_extensions import override

from app.domain.errors import AddressRefusedError
from app.net.addresses import Trusted, checked_name, literal_address, parse_trusted

URL_CHARS_MAX = 2048
PORT_MAX = 65535
LOOKUPS_AT_ONCE = 8
_DEFAULT_PORTS = {"https": 443, "http": 80}
#: Printable ASCII less space, quotes and the backslash, which some parsers read as a slash.
_URL = re.compile(r"[!#-&(-\[\]-~]+", re.ASCII)
_PARTS = re.compile(r"([a-z][a-z0-9+.-]*)://([^/?#]*)", re.ASCII | re.IGNORECASE)
_AUTHORITY = re.compile(r"(?:\[([0-9a-f:.]+)\]|([a-z0-9._-]+))(?::([0-9]{1,5}))?", re.ASCII)

#: Turns a host and port into the addresses it has now.
Lookup = Callable[[str, int], Awaitable[Sequence[str]]]


@dataclass(frozen=True, slots=True)
class Target:
    """Where a URL leads, as the guard reads it."""

    scheme: str
    host: str
    port: int
    #: Whether the host, as written, is one the operator trusts.
    is_trusted: bool


def check_url(url: str, trusted: Sequence[str], *, allow_http: bool = False) -> None:
    """Check a URL where it is set: its form, and its address if it is written as one. No lookup.

    Raises:
        AddressRefusedError: it may not be reached; the message says why, without the URL.
    """
    target_of(url, parse_trusted(trusted), allow_http=allow_http)


def target_of(url: str, trusted: Trusted, *, allow_http: bool = False) -> Target:
    """Where the URL leads, if the guard allows it as far as can be told without a lookup.

    Raises:
        AddressRefusedError: it does not.
    """
    scheme, host, port = _split(url)
    address = literal_address(host)
    host = host if address is not None else checked_name(host)
    target = Target(scheme, host, port, trusted.has_host(host))
    if address is not None and not trusted.allows(host, address):
        raise AddressRefusedError(f"the address {host} is private, reserved or not allowed")
    if (host == "localhost" or host.endswith(".localhost")) and not target.is_trusted:
        raise AddressRefusedError(f"{host} is this machine, and not a trusted host")
    _check_port(target, allow_http=allow_http)
    return target


def _check_port(target: Target, *, allow_http: bool) -> None:
    if target.is_trusted or (target.scheme, target.port) == ("https", 443):
        return
    if (target.scheme, target.port) == ("http", 80) and allow_http:
        return
    raise AddressRefusedError(
        f"{target.scheme} on port {target.port} is allowed for trusted hosts only; use https on "
        "port 443, or have the operator name the host in OVERNIGHT_TRUSTED_HOSTS"
    )


def _split(url: str) -> tuple[str, str, int]:
    parts = _PARTS.match(url)
    if parts is None or len(url) > URL_CHARS_MAX or not _URL.fullmatch(url):
        raise AddressRefusedError(
            f"a URL is https://host/path in plain ASCII, at most {URL_CHARS_MAX} characters"
        )
    scheme, authority = parts[1].lower(), parts[2].lower()
    if scheme not in _DEFAULT_PORTS:
        raise AddressRefusedError(f"{scheme} URLs are not allowed; use https")
    if "@" in authority:
        raise AddressRefusedError("a URL must not hold a user name or password")
    found = _AUTHORITY.fullmatch(authority)
    if found is None:
        raise AddressRefusedError("the URL's host is not a plain name or address")
    host = found[1] or found[2]
    if found[1] and ":" not in found[1]:
        raise AddressRefusedError("only an IPv6 address is written in brackets")
    port = int(found[3]) if found[3] else _DEFAULT_PORTS[scheme]
    if not 0 < port <= PORT_MAX:
        raise AddressRefusedError(f"{port} is not a port")
    return scheme, host, port


class GuardedResolver(AbstractResolver):
    """aiohttp's resolver, so that what is checked is what is connected to.

    Every answer must be allowed: one private address among public ones refuses the host.
    """

    def __init__(self, trusted: Trusted, lookup: Lookup | None = None) -> None:
        self._trusted = trusted
        self._lookup = lookup or self._getaddrinfo
        # Threads of its own: a slow name server must not hold up what else runs in threads.
        self._threads = ThreadPoolExecutor(LOOKUPS_AT_ONCE, thread_name_prefix="lookup")

    @override
    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """The addresses of the host, every one of them checked.

        Raises:
            AddressRefusedError: one of them is not allowed.
            OSError: it has none.
        """
        answers = [ip_address(text) for text in await self._lookup(host, port)]
        if not answers:
            raise OSError("the host has no address")
        for address in answers:
            if not self._trusted.allows(host, address):
                raise AddressRefusedError(
                    f"{host} leads to {address}, which is private, reserved or not allowed"
                )
        return [
            ResolveResult(
                hostname=host,
                host=str(address),
                port=port,
                family=socket.AF_INET if isinstance(address, IPv4Address) else socket.AF_INET6,
                proto=socket.IPPROTO_TCP,
                flags=socket.AI_NUMERICHOST,
            )
            for address in answers
        ]

    @override
    async def close(self) -> None:
        """End the threads."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def _getaddrinfo(self, host: str, port: int) -> Sequence[str]:
        found = await asyncio.get_running_loop().run_in_executor(
            self._threads,
            lambda: socket.getaddrinfo(host, port, type=socket.SOCK_STREAM),
        )
        return list(dict.fromkeys(str(entry[4][0]) for entry in found))
