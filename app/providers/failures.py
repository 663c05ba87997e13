"""From a vendor's error to ours: what the engine should do next is decided here, once.

The tables hold what OpenAI and the servers that imitate it really send.
"""

import re
from typing import NamedTuple

from app.domain.errors import (
    ProviderError,
    ProviderKeyRefusedError,
    ProviderRateLimitedError,
    ProviderRefusedError,
    ProviderUnavailableError,
)
from app.domain.redact import redact
from app.domain.wire import Response
from app.providers.base import CredentialLike, parse_retry_after
from app.providers.reading import sanitise

MESSAGE_CHARS_MAX = 500
REQUEST_ID_CHARS_MAX = 128
_READ_CHARS_MAX = 20_000
BAD_REQUEST = 400
TOO_MANY_REQUESTS = 429
SERVER_ERROR = 500

#: The key, or the account behind it: no other call with it would fare better.
_KEY_REASONS = {401: "unauthorized", 402: "billing", 403: "forbidden"}
_KEY_WORDS = {
    "account_deactivated": "forbidden",
    "billing_hard_limit_reached": "quota_exhausted",
    "billing_not_active": "quota_exhausted",
    "insufficient_quota": "quota_exhausted",
    "invalid_api_key": "unauthorized",
}
#: The vendor, just now.
_UNAVAILABLE_REASONS = {
    408: "timeout",
    409: "conflict",
    425: "too_early",
    500: "server_error",
    502: "bad_gateway",
    503: "overloaded",
    504: "gateway_timeout",
    529: "overloaded",
}
#: The request itself, for good.
_REFUSED_REASONS = {404: "not_found", 413: "too_large"}
_REFUSED_WORDS = {
    "content_filter": "content_filter",
    "content_policy_violation": "content_filter",
    "context_length_exceeded": "context_exceeded",
    "exceed_context_size_error": "context_exceeded",  # llama.cpp's server
    "model_not_found": "not_found",
    "moderation_blocked": "content_filter",
}
_CONTEXT = re.compile(
    r"(?:maximum|max) context length|context (?:length|window|size)", re.IGNORECASE
)
#: A 429 that no waiting mends: one request above what the account may send in a minute.
_ABOVE_LIMIT = re.compile(r"^request too large", re.IGNORECASE)


class ErrorWords(NamedTuple):
    """What a vendor says of an error: a text for people, and words for machines."""

    message: str = ""
    words: tuple[str, ...] = ()


def failure_of(response: Response, said: ErrorWords, credential: CredentialLike) -> ProviderError:
    """The error that a response of any status but 2xx stands for."""
    status = response.status_code
    text = _text(response, said, credential)
    request_id = request_id_of(response)
    key_reason = _first(_KEY_WORDS, said.words) or _KEY_REASONS.get(status)
    refused_reason = _refused_reason(status, said)
    # A withheld prompt may come as a 403, and is not the key's fault.
    if refused_reason and (status not in _KEY_REASONS or refused_reason == "content_filter"):
        return ProviderRefusedError(
            text, reason=refused_reason, status_code=status, request_id=request_id
        )
    if key_reason:
        return ProviderKeyRefusedError(
            text, reason=key_reason, status_code=status, request_id=request_id
        )
    return _for_now(response, text, request_id)


def request_id_of(response: Response) -> str | None:
    """The provider's own id of the request, from the headers."""
    value = response.headers.get("x-request-id") or response.headers.get("request-id")
    return sanitise(value)[0][:REQUEST_ID_CHARS_MAX] if value else None


def _for_now(response: Response, text: str, request_id: str | None) -> ProviderError:
    status, retry_after_s = response.status_code, parse_retry_after(response.headers)
    if status == TOO_MANY_REQUESTS:
        return ProviderRateLimitedError(
            text, retry_after_s=retry_after_s, status_code=status, request_id=request_id
        )
    return ProviderUnavailableError(
        text,
        reason=_UNAVAILABLE_REASONS.get(status, "server_error"),
        retry_after_s=retry_after_s,
        status_code=status,
        request_id=request_id,
    )


def _refused_reason(status: int, said: ErrorWords) -> str | None:
    """Why the request will never be accepted, or None if that is not what the error says."""
    if word := _first(_REFUSED_WORDS, said.words):
        return word
    if status == TOO_MANY_REQUESTS:
        return "too_large" if _ABOVE_LIMIT.search(said.message) else None
    if status < BAD_REQUEST:
        # Not followed: it could lead anywhere.
        return "redirect"
    if status in _KEY_REASONS or status in _UNAVAILABLE_REASONS or status >= SERVER_ERROR:
        return None
    if _CONTEXT.search(said.message):
        return "context_exceeded"
    return None if _first(_KEY_WORDS, said.words) else _REFUSED_REASONS.get(status, "bad_request")


def _first(table: dict[str, str], words: tuple[str, ...]) -> str | None:
    return next((table[word] for word in words if word in table), None)


def _text(response: Response, said: ErrorWords, credential: CredentialLike) -> str:
    secrets = (credential.secret.reveal(),) if credential.secret else ()
    message = redact(sanitise(said.message[:_READ_CHARS_MAX])[0], secrets)
    words = " ".join(message.split())
    head = f"{credential.provider} answered {response.status_code}"
    return (f"{head}: {words}" if words else head)[:MESSAGE_CHARS_MAX]
