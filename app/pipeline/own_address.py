"""Where this API itself listens: no webhook leads there, so that none can set off another."""

from ipaddress import ip_address
from urllib.parse import urlsplit

from app.net.addresses import unwrapped
from app.settings import Settings

_PORTS = {"http": 80, "https": 443}


def is_own(settings: Settings, url: str) -> bool:
    """Whether a URL leads to this API, as far as its settings say where that is.

    By another name it may still be reached. That ends there: a delivery bears no API key.
    """
    host, port = _place(url)
    return (host, port) in {
        (_one_name(settings.host), settings.port),
        _place(settings.api_url),
    }


def _place(url: str) -> tuple[str, int]:
    try:
        parts = urlsplit(url)
        return _one_name(parts.hostname or ""), parts.port or _PORTS.get(parts.scheme, 0)
    except ValueError:
        return "", 0


def _one_name(host: str) -> str:
    """One name for all that this machine is called by itself, for listening and connecting."""
    if host == "localhost" or host.endswith(".localhost"):
        return "localhost"
    try:
        address = ip_address(host.strip("[]"))
    except ValueError:
        return host.lower().rstrip(".")
    address = unwrapped(address)
    return "localhost" if address.is_loopback or address.is_unspecified else str(address)
