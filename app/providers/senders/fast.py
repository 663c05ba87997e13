"""The pump's sender, over pyreqwest: for hosts that a vendor or the operator answers for.

pyreqwest has no resolver of ours, so no URL that an account set comes this way unless its
host is trusted as it is written.
"""

from datetime import timedelta
from functools import lru_cache
from typing import cast

from pyreqwest.client import Client, ClientBuilder
from pyreqwest.exceptions import (
    BodyDecodeError,
    BuilderError,
    DecodeError,
    PyreqwestError,
    RequestError,
    RequestTimeoutError,
)
from pyreqwest.request import StreamRequest
from pyreqwest.response import Response as PyreqwestResponse

from app.domain.errors import ProviderError
from app.domain.wire import Request, Response
from app.net import RESPONSE_BYTES_MAX, CappedBody
from app.net.outcomes import dropped, no_connection, not_http, not_sendable, timed_out

CONNECT_TIMEOUT_S = 10.0
#: Shorter than vendors keep an idle connection, so that we do not send into one just closing.
IDLE_MAX_S = 30.0
#: With more in flight, answers are taken by several threads: each answer has to wait for the
#: interpreter, and where one thread waits for all of them in turn, they are read ever later.
ONE_THREAD_MAX = 512
#: How hyper's client says that it failed before a request was written.
_BEFORE_SENDING = "client error (Connect)"


class FastSender:
    """A `domain.wire.Sender` that adds almost nothing to the raw cost of HTTP."""

    def __init__(
        self,
        *,
        response_bytes_max: int = RESPONSE_BYTES_MAX,
        connect_timeout_s: float = CONNECT_TIMEOUT_S,
        in_flight_max: int = ONE_THREAD_MAX,
    ) -> None:
        self._bytes_max = response_bytes_max
        self._has_threads = in_flight_max > ONE_THREAD_MAX
        self._connect_timeout_s = connect_timeout_s
        self._client: Client | None = None

    async def send(self, request: Request, deadline_s: float) -> Response:
        """Send, as `domain.wire.Sender` says."""
        try:
            return await self._exchange(self._prepared(request, deadline_s))
        except PyreqwestError as error:
            raise _meaning(error, request.url) from None

    async def close(self) -> None:
        """Close every connection."""
        if self._client is not None:
            await self._client.close()

    def _prepared(self, request: Request, deadline_s: float) -> StreamRequest:
        client = self._client or self._open()
        try:
            builder = client.request(request.method, request.url).headers(request.headers)
        except (ValueError, TypeError):
            # A header that cannot be sent. Its value may be a key, and is in the exception.
            raise not_sendable() from None
        # The deadline is total, from connecting to the last byte, and cheaper than asyncio's.
        deadline = _span(deadline_s)
        return builder.body_bytes(request.body).timeout(deadline).build_streamed()

    async def _exchange(self, request: StreamRequest) -> Response:
        async with request as answer:
            headers = _headers_of(answer)
            body = CappedBody(headers, self._bytes_max, answer.status)
            await _fill(body, headers, answer)
            return Response(answer.status, headers, body.finish())

    def _open(self) -> Client:
        # Made on first use: it starts a thread, which a fork would lose.
        self._client = (
            ClientBuilder()
            .runtime_multithreaded(self._has_threads)
            .no_proxy()
            .follow_redirects(enable=False)
            .referer(enable=False)
            .gzip(enable=False)
            .brotli(enable=False)
            .zstd(enable=False)
            .deflate(enable=False)
            .default_headers({"accept-encoding": "identity"})
            .user_agent("overnight")
            .connect_timeout(timedelta(seconds=self._connect_timeout_s))
            .pool_idle_timeout(timedelta(seconds=IDLE_MAX_S))
            .build()
        )
        return self._client


@lru_cache(maxsize=8)
def _span(seconds: float) -> timedelta:
    return timedelta(seconds=seconds)


def _headers_of(answer: PyreqwestResponse) -> dict[str, str]:
    try:
        told = answer.headers.dict_multi_value()
    except ValueError:
        # A value that is not text: the answer is paid for, so it is read without that header.
        return {name: value for name in set(answer.headers) if (value := _text(answer, name))}
    for name, values in told.items():
        if not isinstance(values, str):
            told[name] = values[-1]
    return cast("dict[str, str]", told)


def _text(answer: PyreqwestResponse, name: str) -> str | None:
    try:
        return answer.headers[name]
    except ValueError:
        return None


async def _fill(body: CappedBody, headers: dict[str, str], answer: PyreqwestResponse) -> None:
    reader = answer.body_reader
    if "content-length" in headers:
        # The cap allows this length, and HTTP ends the body there: no need to go in steps.
        body.feed(bytes(await reader.bytes()))
        return
    while (chunk := await reader.read_chunk()) is not None:
        body.feed(bytes(chunk))


def _meaning(error: PyreqwestError, url: str) -> ProviderError:
    """What a failure means.

    The class alone does not tell whether the request had left: `ConnectError` also stands for
    a connection that was dropped after the request was sent.
    """
    if isinstance(error, BuilderError):
        return not_sendable()
    if _was_never_sent(error):
        return no_connection(url, type(error).__name__)
    if isinstance(error, DecodeError) and not isinstance(error, BodyDecodeError):
        return not_http(url)
    return timed_out(url) if isinstance(error, RequestTimeoutError) else dropped(url)


def _was_never_sent(error: PyreqwestError) -> bool:
    causes = error.details.get("causes") if isinstance(error, RequestError) else None
    return any(cause["message"] == _BEFORE_SENDING for cause in causes or ())
