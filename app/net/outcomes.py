"""What a failed request means for the one who pays: nothing was bought, or nobody knows.

The senders' own exceptions are never chained or quoted: some hold headers, and so keys.
"""

from urllib.parse import urlsplit

from app.domain.errors import (
    MalformedCompletionError,
    OutcomeUnknownError,
    ProviderRefusedError,
    ProviderUnavailableError,
)


def no_connection(url: str, why: str) -> ProviderUnavailableError:
    """Nothing was sent."""
    return ProviderUnavailableError(f"no connection to {_host(url)}: {why}", reason="connect")


def timed_out(url: str) -> OutcomeUnknownError:
    """The request may have left, and the deadline passed before the whole answer was there."""
    return OutcomeUnknownError(f"{_host(url)} did not answer in time", reason="timeout")


def dropped(url: str) -> OutcomeUnknownError:
    """The connection ended before the whole answer was there."""
    return OutcomeUnknownError(f"{_host(url)} ended the connection", reason="dropped")


def not_http(url: str) -> MalformedCompletionError:
    """An answer came, and it is not HTTP, or its headers have no end."""
    return MalformedCompletionError(f"{_host(url)} did not answer in HTTP", reason="bad_http")


def not_sendable() -> ProviderRefusedError:
    """The request cannot be written; which header is at fault is not said, it may be a key."""
    return ProviderRefusedError("the request cannot be sent as it is", reason="not_sendable")


def _host(url: str) -> str:
    try:
        return urlsplit(url).hostname or "the host"
    except ValueError:
        return "the host"
