"""What goes over HTTP and what comes back, as plain values, and who carries it."""

from collections.abc import Mapping
from typing import Protocol

import msgspec
from typing_extensions import override


class Request(msgspec.Struct, frozen=True):
    """One HTTP request. Its headers may hold a key, so neither they nor the body are shown."""

    method: str
    url: str
    headers: Mapping[str, str]
    body: bytes = b""

    @override
    def __repr__(self) -> str:
        """Where it goes."""
        return f"Request(method={self.method!r}, url={self.url!r})"


class Response(msgspec.Struct, frozen=True):
    """One whole HTTP answer: header names in lower case, the body decoded."""

    status_code: int
    headers: Mapping[str, str]
    body: bytes

    @override
    def __repr__(self) -> str:
        """Without its body."""
        return f"Response(status_code={self.status_code}, headers={self.headers!r})"


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
