"""What every provider's adapter is and uses: two pure functions, and the values they take."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Protocol

import msgspec

from app.domain.clock import utc_now
from app.domain.completion import Completion
from app.domain.errors import ProviderError
from app.domain.prompt import Message, Params
from app.domain.secret import Secret
from app.domain.wire import Request, Response

RETRY_AFTER_MAX_S = 86_400.0
_RETRY_AFTER = (("retry-after-ms", 0.001), ("x-ms-retry-after-ms", 0.001), ("retry-after", 1.0))


class CredentialLike(Protocol):
    """Whatever tells whose key a call is made with, and where it goes if not to the vendor's URL."""

    @property
    def provider(self) -> str:
        """The provider, as the account names it."""
        ...

    @property
    def base_url(self) -> str | None:
        """Where to, if not to the vendor's own URL."""
        ...

    @property
    def secret(self) -> Secret | None:
        """The key, or None where the server asks for none."""
        ...


@dataclass(frozen=True, slots=True)
class Credential:
    """The plain form of it. `Secret` sees to it that no repr, copy or pickle holds the key."""

    provider: str
    base_url: str | None = None
    secret: Secret | None = None


class CallInput(msgspec.Struct, frozen=True):
    """One attempt of one call, as an adapter needs it.

    `max_tokens` is the bound that is really sent, where the engine set one; the parameters'
    own is sent otherwise. `id` and `attempt` name the attempt to the provider.
    """

    id: str
    model: str
    messages: Sequence[Message]
    params: Params
    max_tokens: int | None = None
    attempt: int = 1

    @property
    def output_tokens_max(self) -> int | None:
        """The bound on the answer's tokens, if there is one."""
        return self.params.max_tokens if self.max_tokens is None else self.max_tokens


class Adapter(Protocol):
    """One provider's language. Pure: no I/O, no client, nothing remembered between calls."""

    @property
    def name(self) -> str:
        """The provider."""
        ...

    def check(self, params: Params, model: str) -> None:
        """Refuse parameters that the vendor does not take. For submit, before anything is paid.

        Raises:
            InvalidRequestError: naming the vendor; `param` is relative to the parameters.
        """
        ...

    def check_prompt(self, messages: Sequence[Message], model: str) -> None:
        """Refuse images that the vendor does not take. For submit, and prompts that hold some.

        Raises:
            InvalidRequestError: naming the vendor; `param` is relative to the prompt.
        """
        ...

    def build(self, call: CallInput, credential: CredentialLike) -> Request:
        """The request for a call.

        Raises:
            ProviderKeyRefusedError: the key cannot be a key.
            ProviderRefusedError: the call cannot be put into a request.
        """
        ...

    def probe(self, credential: CredentialLike) -> Request:
        """A request that buys nothing, and that a good key is let in with.

        Raises:
            ProviderKeyRefusedError: the key cannot be a key.
            ProviderRefusedError: there is nowhere to send it.
        """
        ...

    def failure(self, response: Response, credential: CredentialLike) -> ProviderError:
        """The error that a response stands for, whatever it was to, of any status but 2xx."""
        ...

    def read(self, response: Response, call: CallInput, credential: CredentialLike) -> Completion:
        """The completion in a response to that call.

        Where the provider told no usable usage it is estimated from the call and the text.

        Raises:
            ProviderError: of the class that says what to do next.
        """
        ...


def parse_retry_after(headers: Mapping[str, str]) -> float | None:
    """The wait in seconds that the provider asks for, from 0 to a day; None if it asks for none.

    In the order of the vendors' own clients: `retry-after-ms`, then `retry-after` as seconds,
    fractions allowed, then as an HTTP date (openai-python, `_base_client._parse_retry_after_header`).
    Azure OpenAI tells milliseconds by a name of its own.
    """
    for name, scale in _RETRY_AFTER:
        wait_s = _number(headers.get(name, ""))
        if wait_s is not None:
            return min(max(wait_s * scale, 0.0), RETRY_AFTER_MAX_S)
    return _until(headers.get("retry-after", ""), headers.get("date", ""))


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _until(when: str, sent: str) -> float | None:
    """Seconds from the response's own date, or else from now, to a date."""
    try:
        end = parsedate_to_datetime(when)
        wait = end - (parsedate_to_datetime(sent) if sent else utc_now())
    except (ValueError, TypeError, OverflowError):
        # TypeError: one of the two dates names no time zone, so they cannot be compared.
        return None
    return min(max(wait.total_seconds(), 0.0), RETRY_AFTER_MAX_S)
