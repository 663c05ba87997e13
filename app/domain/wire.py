"""What goes over HTTP and what comes back, as plain values, and who carries it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Request:
    """One HTTP request. Its headers may hold a key, so neither they nor the body are shown."""

    method: str
    url: str
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(default=b"", repr=False)


@dataclass(frozen=True, slots=True)
class Response:
    """One whole HTTP answer: header names in lower case, the body decoded."""

    status_code: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)


class Sender(Protocol):
    """Carries one request. The only place where provider traffic does I/O."""

    async def send(self, request: Request, deadline_s: float) -> Response:
        """Send, and read the whole answer, within `deadline_s` seconds in all.

        Redirects are not followed, and proxies of the environment not used.

        Raises:
            ProviderUnavailableError: no connection was made, so nothing was bought.
            OutcomeUnknownError: the request left, and no whole answer came in time.
            MalformedCompletionError: the decoded answer is over the cap on bytes.
            AddressRefusedError: the address guard does not allow the host.
            ProviderRefusedError: the request cannot be written as HTTP.
        """
        ...

    async def close(self) -> None:
        """Close every connection."""
        ...
