"""The reference sender, over httpx: for tests, and for rare calls to a vendor's own host.

Not for the pump: httpx's pool collapses at a few hundred calls in flight.
"""

import asyncio
from http.cookiejar import CookieJar, DefaultCookiePolicy

import httpx

from app.domain.errors import MalformedCompletionError, ProviderError
from app.domain.wire import Request, Response
from app.net import RESPONSE_BYTES_MAX, CappedBody
from app.net.outcomes import dropped, no_connection, not_http, not_sendable, timed_out

CONNECT_TIMEOUT_S = 10.0


class _Progress:
    """How far one request got, as httpcore traces it."""

    def __init__(self) -> None:
        self.is_sent = False
        self.has_headers = False

    async def note(self, event: str, _info: object) -> None:
        if event.endswith("send_request_headers.started"):
            self.is_sent = True
        elif event.endswith("receive_response_headers.complete"):
            self.has_headers = True


class HttpxSender:
    """A `domain.wire.Sender` written to be read."""

    def __init__(
        self,
        *,
        response_bytes_max: int = RESPONSE_BYTES_MAX,
        connect_timeout_s: float = CONNECT_TIMEOUT_S,
    ) -> None:
        self._bytes_max = response_bytes_max
        self._client = httpx.AsyncClient(
            headers={"accept-encoding": "identity", "user-agent": "overnight"},
            # A jar that takes nothing: a cookie would tie one account's calls to another's.
            cookies=CookieJar(DefaultCookiePolicy(allowed_domains=())),
            follow_redirects=False,
            trust_env=False,
            # Only the total deadline bounds the rest: a slow drip passes every timeout per read.
            timeout=httpx.Timeout(None, connect=connect_timeout_s),
            # No connection is used twice: what came after a body would be taken for the next
            # answer, for httpcore keeps it in the connection's buffer.
            limits=httpx.Limits(max_keepalive_connections=0),
        )

    async def send(self, request: Request, deadline_s: float) -> Response:
        """Send, as `domain.wire.Sender` says."""
        progress = _Progress()
        try:
            async with asyncio.timeout(deadline_s):
                return await self._exchange(request, progress)
        except (httpx.HTTPError, httpx.InvalidURL, TimeoutError) as error:
            raise _meaning(error, progress, request.url) from None
        except (ValueError, TypeError):
            raise not_sendable() from None

    async def close(self) -> None:
        """Close every connection."""
        await self._client.aclose()

    async def _exchange(self, request: Request, progress: _Progress) -> Response:
        async with self._client.stream(
            request.method,
            request.url,
            headers=request.headers,
            content=request.body,
            extensions={"trace": progress.note},
        ) as answer:
            headers = dict(answer.headers.items())
            body = CappedBody(headers, self._bytes_max, answer.status_code)
            async for chunk in answer.aiter_raw():
                body.feed(chunk)
            return Response(answer.status_code, headers, body.finish())


def _meaning(error: Exception, progress: _Progress, url: str) -> ProviderError:
    if isinstance(error, httpx.LocalProtocolError | httpx.UnsupportedProtocol | httpx.InvalidURL):
        return not_sendable()
    if not progress.is_sent:
        return no_connection(url, type(error).__name__)
    if isinstance(error, TimeoutError | httpx.TimeoutException):
        return timed_out(url)
    if isinstance(error, httpx.RemoteProtocolError):
        return _broken_http(error, progress, url)
    return dropped(url)


def _broken_http(
    error: httpx.RemoteProtocolError, progress: _Progress, url: str
) -> ProviderError | MalformedCompletionError:
    """One class stands for a connection that ended early and for an answer that is not HTTP."""
    if progress.has_headers or "disconnected" in str(error):
        return dropped(url)
    return not_http(url)
