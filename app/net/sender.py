"""The sender for every URL that an account set: it connects only to addresses it has checked."""

import asyncio
import ssl
from collections.abc import Callable, Sequence
from functools import lru_cache
from types import SimpleNamespace
from typing import Any

import aiohttp
import yarl

from app.domain.errors import AddressRefusedError, OutcomeUnknownError, ProviderError
from app.domain.wire import Request, Response
from app.net.addresses import parse_trusted
from app.net.body import RESPONSE_BYTES_MAX, CappedBody
from app.net.guard import GuardedResolver, Lookup, target_of
from app.net.outcomes import dropped, no_connection, not_http, not_sendable, timed_out

CONNECT_TIMEOUT_S = 10.0
#: A connection kept for longer goes to an address that was checked too long ago.
IDLE_MAX_S = 15.0
HEADER_BYTES_MAX = 8190
HEADERS_MAX = 128
CHUNK_BYTES = 64 * 1024
DEFAULT_HEADERS = {"accept-encoding": "identity", "user-agent": "overnight"}


class _Progress:
    """How far one request got."""

    __slots__ = ("has_connection",)

    def __init__(self) -> None:
        self.has_connection = False


class GuardedSender:
    """A `domain.wire.Sender` over aiohttp with a resolver of our own.

    The form of the URL is checked at every send, its addresses at every new connection.
    Redirects are handed back unfollowed; proxies of the environment and cookies are not used.
    """

    def __init__(
        self,
        trusted_hosts: Sequence[str] = (),
        *,
        response_bytes_max: int = RESPONSE_BYTES_MAX,
        allow_http: bool = False,
        connect_timeout_s: float = CONNECT_TIMEOUT_S,
        resolver: Lookup | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._trusted = parse_trusted(trusted_hosts)
        self._bytes_max = response_bytes_max
        self._allow_http = allow_http
        self._connect_timeout_s = connect_timeout_s
        self._resolver = GuardedResolver(self._trusted, resolver)
        self._tls = tls or _default_tls()
        self._session: aiohttp.ClientSession | None = None

    async def send(self, request: Request, deadline_s: float) -> Response:
        """Send, as `domain.wire.Sender` says, if the guard allows the address."""
        url = self._allowed_url(request)
        progress = _Progress()
        try:
            async with asyncio.timeout(deadline_s):
                return await self._exchange(request, url, progress)
        except aiohttp.InvalidURL:
            raise AddressRefusedError from None
        except aiohttp.ClientConnectorError as error:
            raise no_connection(request.url, type(error).__name__) from None
        except aiohttp.ClientResponseError:
            raise not_http(request.url) from None
        except TimeoutError:
            raise _broken_off(request, progress, timed_out) from None
        except (aiohttp.ClientError, OSError):
            raise _broken_off(request, progress, dropped) from None
        except ValueError:
            raise not_sendable() from None

    async def close(self) -> None:
        """Close every connection."""
        if self._session is not None:
            await self._session.close()
        await self._resolver.close()

    async def _exchange(self, request: Request, url: yarl.URL, progress: _Progress) -> Response:
        async with self._open_session().request(
            request.method,
            url,
            headers=request.headers,
            data=request.body or None,
            allow_redirects=False,
            trace_request_ctx=progress,
        ) as answer:
            headers = {name.lower(): value for name, value in answer.headers.items()}
            body = CappedBody(headers, self._bytes_max, answer.status)
            async for chunk in answer.content.iter_chunked(CHUNK_BYTES):
                body.feed(chunk)
            return Response(answer.status, headers, body.finish())

    def _allowed_url(self, request: Request) -> yarl.URL:
        target = target_of(request.url, self._trusted, allow_http=self._allow_http)
        url = yarl.URL(request.url)
        # Two parsers that read one URL differently are how guards are passed.
        if (url.scheme, url.host, url.port) != (target.scheme, target.host, target.port):
            raise AddressRefusedError("the URL can be read in more than one way")
        return url

    def _open_session(self) -> aiohttp.ClientSession:
        # Made on first use, because a session belongs to the loop that runs then.
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(
                    resolver=self._resolver,
                    use_dns_cache=False,
                    ssl=self._tls,
                    limit=0,
                    keepalive_timeout=IDLE_MAX_S,
                ),
                cookie_jar=aiohttp.DummyCookieJar(),
                headers=DEFAULT_HEADERS,
                skip_auto_headers=("Accept", "Accept-Encoding", "User-Agent"),
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=self._connect_timeout_s),
                auto_decompress=False,
                trust_env=False,
                max_line_size=HEADER_BYTES_MAX,
                max_field_size=HEADER_BYTES_MAX,
                max_headers=HEADERS_MAX,
                trace_configs=[_tracing()],
            )
        return self._session


@lru_cache(maxsize=1)
def _default_tls() -> ssl.SSLContext:
    """Shared, because reading the system's certificates takes longer than a whole request."""
    return ssl.create_default_context()


def _tracing() -> aiohttp.TraceConfig:
    async def connected(_session: Any, context: SimpleNamespace, _params: Any) -> None:
        context.trace_request_ctx.has_connection = True

    trace = aiohttp.TraceConfig()
    trace.on_connection_create_end.append(connected)
    trace.on_connection_reuseconn.append(connected)
    return trace


def _broken_off(
    request: Request, progress: _Progress, meaning: Callable[[str], OutcomeUnknownError]
) -> ProviderError:
    if progress.has_connection:
        return meaning(request.url)
    return no_connection(request.url, "it was not made in time, or not at all")
