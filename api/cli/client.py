"""The API's client: every answer that is not the wanted one becomes words and an exit code."""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Self
from urllib.parse import urlsplit

import httpx

from api.cli.failure import ExitCode, Failure
from api.cli.place import ApiKey, api_url, find_api_key
from app.settings import load_settings

TIMEOUT_S = 30.0
#: Submitting a large file is read to its end before it is answered.
SUBMIT_TIMEOUT_S = 600.0
_TRIES_MAX = 4
_RETRY_AFTER_MAX_S = 5.0
_RETRY_S = 1.0
#: The request may have been read and its answer lost: an API that was killed and comes again.
_CUT = (httpx.ReadError, httpx.WriteError, httpx.RemoteProtocolError)
_LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})
_PAGE = 100


class Client:
    """Talks to the API as any client does.

    Args:
        url: where it is.
        key: the API key to show it.
        transport: for tests: what answers instead of a network.
    """

    def __init__(
        self, url: str, key: ApiKey | None, transport: httpx.BaseTransport | None = None
    ) -> None:
        self.url = url
        self._key = key
        headers = {"user-agent": "overnight-cli"}
        if key is not None:
            headers["authorization"] = f"Bearer {key.value}"
        try:
            self._http = httpx.Client(
                base_url=url,
                headers=headers,
                timeout=TIMEOUT_S,
                transport=transport,
                trust_env=urlsplit(url).hostname not in _LOOPBACK,  # a proxy cannot reach those
            )
        except (httpx.InvalidURL, UnicodeEncodeError, ValueError):
            raise Failure("OVERNIGHT_URL or the API key cannot be used", ExitCode.USAGE) from None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def get(self, path: str, **query: Any) -> Any:
        """What the API answers to GET."""
        return self._call("GET", path, params=_without_none(query))

    def post(self, path: str, body: Any = None, **options: Any) -> Any:
        """What the API answers to POST."""
        return self._call("POST", path, json=body, **options)

    def put(self, path: str, body: Any) -> Any:
        """What the API answers to PUT."""
        return self._call("PUT", path, json=body)

    def delete(self, path: str) -> None:
        """DELETE."""
        self._call("DELETE", path)

    def pages(self, path: str, limit: int | None = None, **query: Any) -> Iterator[Any]:
        """Every entry of a list, or the first `limit`."""
        after, left = None, limit
        while left is None or left > 0:
            size = _PAGE if left is None else min(_PAGE, left)
            page = self.get(path, limit=size, after=after, **query)
            yield from page["data"]
            left = None if left is None else left - len(page["data"])
            after = page.get("next")
            if after is None:
                return

    @contextmanager
    def lines(self, path: str, **query: Any) -> Iterator[Iterator[bytes]]:
        """The lines of a streamed answer, as they are on the wire, without their ends."""
        with self.stream(path, **query) as pieces:
            yield _split(pieces)

    @contextmanager
    def stream(self, path: str, **query: Any) -> Iterator[Iterator[bytes]]:
        """The bytes of a streamed answer, as they come."""
        try:
            with self._http.stream("GET", path, params=_without_none(query)) as answer:
                if not answer.is_success:
                    answer.read()
                    self._refuse(answer)
                yield answer.iter_bytes()
        except httpx.TransportError as error:
            raise self._unreachable(error) from None

    def _call(self, method: str, path: str, **options: Any) -> Any:
        """Send a request, again where that is safe and the API was busy, or went away meanwhile."""
        is_safe = method == "GET" or "Idempotency-Key" in (options.get("headers") or {})
        tries_left = _TRIES_MAX if is_safe else 1
        while True:
            tries_left -= 1
            try:
                answer = self._http.request(method, path, **options)
            except httpx.TransportError as error:
                if tries_left == 0 or not isinstance(error, _CUT):
                    raise self._unreachable(error) from None
                time.sleep(_RETRY_S)
                continue
            if tries_left == 0 or answer.status_code != httpx.codes.SERVICE_UNAVAILABLE:
                break
            time.sleep(_retry_after_s(answer))
        if not answer.is_success:
            self._refuse(answer)
        return self._read(answer)

    def _read(self, answer: httpx.Response) -> Any:
        if not answer.content:
            return None
        try:
            return answer.json()
        except ValueError:
            raise Failure(
                f"{self.url} answered something else than JSON: is that Overnight's API?",
                ExitCode.UNREACHABLE,
            ) from None

    def _unreachable(self, error: httpx.TransportError) -> Failure:
        """What the network did, in words."""
        match error:
            case httpx.ConnectError():
                message = (
                    f"nothing answers at {self.url}: start it with `overnight up`, or say where "
                    "the API is with OVERNIGHT_URL"
                )
            case httpx.TimeoutException():
                message = f"{self.url} did not answer in time: see its log, or try again"
            case _:
                message = f"the connection to {self.url} broke ({type(error).__name__}): try again"
        return Failure(message, ExitCode.UNREACHABLE)

    def _refuse(self, answer: httpx.Response) -> None:
        problem = _problem_of(answer)
        message = problem.get("message") or f"{self.url} answered {answer.status_code}"
        match answer.status_code:
            case httpx.codes.UNAUTHORIZED:
                raise Failure(self._about_key(), ExitCode.REFUSED)
            case httpx.codes.FORBIDDEN:
                raise Failure(f"{message} ({self._whose_key()})", ExitCode.REFUSED)
            case 400 | 409 | 413 | 415 | 422:
                raise Failure(message, ExitCode.USAGE)
            case status if status >= httpx.codes.INTERNAL_SERVER_ERROR:
                request_id = problem.get("request_id", "unknown")
                raise Failure(f"{message} (status {status}, request {request_id}: see its log)")
        raise Failure(message)

    def _about_key(self) -> str:
        if self._key is None:
            return (
                f"{self.url} asks for an API key and there is none: set OVERNIGHT_API_KEY, or set "
                "OVERNIGHT_DATA_DIR to where `overnight up` keeps its data"
            )
        return (
            f"{self.url} does not accept the {self._whose_key()}: set OVERNIGHT_API_KEY to one of "
            "its own, or OVERNIGHT_DATA_DIR to where its `overnight up` keeps its data"
        )

    def _whose_key(self) -> str:
        return f"API key {self._key.hint} from {self._key.source}" if self._key else "no API key"


def connect() -> Client:
    """A client of the API that the settings name."""
    settings = load_settings()
    return Client(api_url(settings), find_api_key(settings))


def _problem_of(answer: httpx.Response) -> Mapping[str, Any]:
    try:
        problem = answer.json()["error"]
    except (ValueError, LookupError, TypeError):
        return {}
    return problem if isinstance(problem, dict) else {}


def _retry_after_s(answer: httpx.Response) -> float:
    try:
        return min(max(float(answer.headers["retry-after"]), 0.0), _RETRY_AFTER_MAX_S)
    except (LookupError, ValueError):
        return _RETRY_S


def _without_none(query: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in query.items() if value is not None}


def _split(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """Lines end at line feeds and nowhere else: JSON may hold other separators."""
    rest = b""
    for chunk in chunks:
        *whole, rest = (rest + chunk).split(b"\n")
        yield from whole
    if rest:
        yield rest
