"""From a vendor's error to ours: what the engine should do next is decided here, once.

The tables hold what the vendors and the servers that imitate them really send: OpenAI's codes,
Anthropic's types and error codes (`anthropic.types.shared`, 2.12.0), Google's statuses and reasons
(google.rpc.Code, google.rpc.ErrorInfo). A word of a vendor's own is translated by its adapter.
"""

import re
from collections.abc import Callable
from typing import Any, NamedTuple

from app.domain.completion import Completion, Usage
from app.domain.errors import (
    MalformedCompletionError,
    ProviderError,
    ProviderKeyRefusedError,
    ProviderRateLimitedError,
    ProviderRefusedError,
    ProviderUnavailableError,
)
from app.domain.redact import redact
from app.domain.wire import Response
from app.providers.base import CallInput, CredentialLike, parse_retry_after
from app.providers.reading import decode_json, sanitise
from app.providers.told import wait_told

MESSAGE_CHARS_MAX = 500
REQUEST_ID_CHARS_MAX = 128
_READ_CHARS_MAX = 20_000
BAD_REQUEST = 400
TOO_MANY_REQUESTS = 429
SERVER_ERROR = 500

#: Words of our own, for what a vendor says in no word but in a shape.
DAILY_QUOTA = "daily_quota"
NO_QUOTA = "no_quota"

#: The key, or the account behind it: no other call with it would fare better.
_KEY_REASONS = {401: "unauthorized", 402: "billing", 403: "forbidden"}
_KEY_WORDS = {
    "API_KEY_INVALID": "unauthorized",
    "API_KEY_SERVICE_BLOCKED": "forbidden",
    "BILLING_DISABLED": "billing",
    "CONSUMER_SUSPENDED": "forbidden",
    "FAILED_PRECONDITION": "billing",  # Google: the free tier is not for where the request is from
    "SERVICE_DISABLED": "forbidden",
    "account_deactivated": "forbidden",
    "billing_error": "billing",
    "billing_hard_limit_reached": "quota_exhausted",
    "billing_not_active": "quota_exhausted",
    "claude_code_key_creator_not_member": "forbidden",
    "cmek_key_disabled": "forbidden",
    "cmek_key_network_blocked": "forbidden",
    "contract_spend_limit_reached": "spend_limit",
    "enforced_spend_limit_reached": "spend_limit",
    "insufficient_quota": "quota_exhausted",
    "invalid_api_key": "unauthorized",
    "organization_on_hold": "forbidden",
}
#: Where there is no word for it, the account says so in a sentence, with any status.
_KEY_TEXTS = (
    (
        re.compile(r"spending (?:cap|limit)|monthly spend", re.IGNORECASE),
        "spend_limit",
    ),
    (
        re.compile(
            r"credit balance is too low|insufficient (?:account )?(?:balance|credit)|"
            r"account (?:is |has been )?suspended",
            re.IGNORECASE,
        ),
        "billing",
    ),
    (
        re.compile(r"(?:incorrect|invalid) api[ _-]?key|api[ _-]?key not valid", re.IGNORECASE),
        "unauthorized",
    ),
)
#: The vendor, just now.
_UNAVAILABLE_REASONS = {
    408: "timeout",
    409: "conflict",
    425: "too_early",
    499: "cancelled",
    500: "server_error",
    502: "bad_gateway",
    503: "overloaded",
    504: "gateway_timeout",
    529: "overloaded",
}
#: A limit that passes with time, other than the ordinary one on requests and tokens a minute.
_LIMIT_WORDS = {
    DAILY_QUOTA: "quota_exhausted",
    "ramp_limit_exceeded": "ramp_limit",
}
#: OpenAI and Groq say which of their limits it was in a sentence: `on requests per day (RPD)`.
_LIMIT_TEXTS = ((re.compile(r"\bper day\b|\((?:RPD|TPD)\)", re.IGNORECASE), "quota_exhausted"),)
#: Money that is there again by itself is waited for as a day's quota is, if it is said when. A wait
#: of seconds is no month's end, but what the vendor says with every refusal.
_SPENT_REASONS = frozenset({"spend_limit"})
_SPENT_WAIT_MIN_S = 60.0
#: The request itself, for good.
_REFUSED_REASONS = {404: "not_found", 413: "too_large"}
_REFUSED_WORDS = {
    NO_QUOTA: "no_quota",
    "content_filter": "content_filter",
    "content_policy_violation": "content_filter",
    "context_length_exceeded": "context_exceeded",
    "exceed_context_size_error": "context_exceeded",  # llama.cpp's server
    "image_dimensions_too_large": "too_large",
    "model_not_found": "not_found",
    "moderation_blocked": "content_filter",
}
_CONTEXT = re.compile(
    r"(?:maximum|max) context length|context (?:length|window|size)|prompt is too long|"
    r"exceed context limit|token count .{0,40}exceeds the maximum",
    re.IGNORECASE,
)
#: A 429 that no waiting mends: one request above what the account may send in a minute.
_ABOVE_LIMIT = re.compile(r"^request too large", re.IGNORECASE)


class ErrorWords(NamedTuple):
    """What a vendor says of an error: a text for people, words for machines, and a wait.

    The first word that is known counts; the wait is the body's, where headers name none.
    """

    message: str = ""
    words: tuple[str, ...] = ()
    retry_after_s: float | None = None


def failure_of(response: Response, said: ErrorWords, credential: CredentialLike) -> ProviderError:
    """The error that a response of any status but 2xx stands for."""
    status = response.status_code
    text = _text(response, said, credential)
    request_id = request_id_of(response)
    key_reason = _key_reason(status, said)
    refused_reason = _refused_reason(status, said, key_reason)
    # A withheld prompt may come as a 403, and is not the key's fault.
    if refused_reason and (status not in _KEY_REASONS or refused_reason == "content_filter"):
        return ProviderRefusedError(
            text, reason=refused_reason, status_code=status, request_id=request_id
        )
    wait_s = parse_retry_after(response.headers) or 0.0
    if key_reason in _SPENT_REASONS and wait_s >= _SPENT_WAIT_MIN_S:
        return ProviderRateLimitedError(
            text,
            reason=key_reason,
            retry_after_s=wait_s,
            status_code=status,
            request_id=request_id,
        )
    if key_reason:
        return ProviderKeyRefusedError(
            text, reason=key_reason, status_code=status, request_id=request_id
        )
    return _for_now(response, said, text, request_id)


def completion_by(
    read: Callable[[Response, CallInput], Completion],
    usage_of: Callable[[Any, CallInput, str], Usage],
    response: Response,
    call: CallInput,
) -> Completion:
    """What `read` finds in a successful response.

    Args:
        read: reads it.
        usage_of: reads a vendor's own usage, of an answer that said so much.
        response: the response.
        call: what it answers.

    Raises:
        MalformedCompletionError: it finds none; the error says of which response, and what it
            used, where the vendor tells.
    """
    try:
        return read(response, call)
    except MalformedCompletionError as error:
        error.status_code, error.request_id = response.status_code, request_id_of(response)
        error.usage = _usage_told(usage_of, response, call)
        raise


def _usage_told(
    usage_of: Callable[[Any, CallInput, str], Usage], response: Response, call: CallInput
) -> Usage | None:
    """The usage that an answer tells which holds nothing else; never one of our estimates."""
    try:
        data, _ = decode_json(response.body)
    except MalformedCompletionError:
        return None
    if not isinstance(data, dict):
        return None
    usage = usage_of(data.get("usage") or data.get("usageMetadata"), call, "")
    return None if usage.estimated else usage


def request_id_of(response: Response) -> str | None:
    """The provider's own id of the request, from the headers."""
    value = response.headers.get("x-request-id") or response.headers.get("request-id")
    return sanitise(value)[0][:REQUEST_ID_CHARS_MAX] if value else None


def _key_reason(status: int, said: ErrorWords) -> str | None:
    """Why the key is refused, or None if that is not what the error says."""
    if word := _first(_KEY_WORDS, said.words):
        return word
    if BAD_REQUEST <= status < SERVER_ERROR:
        for pattern, reason in _KEY_TEXTS:
            if pattern.search(said.message):
                return reason
    return _KEY_REASONS.get(status)


def _for_now(
    response: Response, said: ErrorWords, text: str, request_id: str | None
) -> ProviderError:
    status, is_limit = response.status_code, response.status_code == TOO_MANY_REQUESTS
    retry_after_s = (wait_told if is_limit else parse_retry_after)(response.headers)
    if retry_after_s is None:
        retry_after_s = said.retry_after_s
    if is_limit:
        return ProviderRateLimitedError(
            text,
            reason=_limit_reason(said),
            retry_after_s=retry_after_s,
            status_code=status,
            request_id=request_id,
        )
    return ProviderUnavailableError(
        text,
        reason=_UNAVAILABLE_REASONS.get(status, "server_error"),
        retry_after_s=retry_after_s,
        status_code=status,
        request_id=request_id,
    )


def _limit_reason(said: ErrorWords) -> str:
    """Which kind of limit it is: one of a minute, unless it says otherwise."""
    if word := _first(_LIMIT_WORDS, said.words):
        return word
    texts = (reason for pattern, reason in _LIMIT_TEXTS if pattern.search(said.message))
    return next(texts, "rate_limited")


def _refused_reason(status: int, said: ErrorWords, key_reason: str | None) -> str | None:
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
    return None if key_reason else _REFUSED_REASONS.get(status, "bad_request")


def _first(table: dict[str, str], words: tuple[str, ...]) -> str | None:
    return next((table[word] for word in words if word in table), None)


def _text(response: Response, said: ErrorWords, credential: CredentialLike) -> str:
    secrets = (credential.secret.reveal(),) if credential.secret else ()
    message = redact(sanitise(said.message[:_READ_CHARS_MAX])[0], secrets)
    words = " ".join(message.split())
    head = f"{credential.provider} answered {response.status_code}"
    return (f"{head}: {words}" if words else head)[:MESSAGE_CHARS_MAX]
