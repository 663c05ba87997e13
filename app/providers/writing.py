"""Writing requests: what every adapter's have in common.

The key goes into one header, and nowhere else.
"""

from collections.abc import Mapping
from typing import Any

import msgspec

from app.domain.errors import InvalidRequestError, ProviderKeyRefusedError, ProviderRefusedError
from app.domain.prompt import Params
from app.domain.wire import Request
from app.providers.base import CallInput, CredentialLike

_encoder = msgspec.json.Encoder()


def json_request(
    provider: str, url: str, body: Mapping[str, Any], call: CallInput, auth: Mapping[str, str]
) -> Request:
    """A POST of a body as JSON, with the attempt's name and the key in its headers.

    Raises:
        ProviderRefusedError: the body holds what JSON cannot.
    """
    headers = {
        "content-type": "application/json",
        # OpenAI logs it with the request: platform.openai.com/docs/api-reference/debugging.
        "x-client-request-id": f"{call.id}-{call.attempt}",
        **auth,
    }
    try:
        encoded = _encoder.encode(body)
    except (ValueError, TypeError, OverflowError):
        # The exception would hold the prompt.
        raise ProviderRefusedError(
            f"the call cannot be written as JSON for {provider}", reason="not_encodable"
        ) from None
    return Request("POST", url, headers, encoded)


def url_of(provider: str, credential: CredentialLike, default: str | None, path: str) -> str:
    """A path behind the account's base URL, or else the vendor's.

    Raises:
        ProviderRefusedError: there is neither.
    """
    base_url = credential.base_url or default
    if base_url is None:
        raise ProviderRefusedError(f"{provider} has no base URL", reason="no_base_url")
    return base_url.rstrip("/") + path


def key_header(
    provider: str, credential: CredentialLike, header: str, prefix: str = ""
) -> dict[str, str]:
    """The header that holds the key; none where there is no key.

    Raises:
        ProviderKeyRefusedError: it has characters that no key has.
    """
    if credential.secret is None:
        return {}
    secret = credential.secret.reveal()
    if not (secret.isascii() and secret.isprintable()):
        raise ProviderKeyRefusedError(
            f"the key for {provider} has characters that no key has", reason="malformed_key"
        )
    return {header: prefix + secret}


def merged(extra: Mapping[str, Any], name: str, **ours: Any) -> dict[str, Any]:
    """An object of the body that `extra` may have begun, with our fields in it."""
    theirs = extra.get(name)
    return {**theirs, **ours} if isinstance(theirs, dict) else ours


def schema_in(response_format: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """The JSON schema that a `response_format` asks for, if it asks for one."""
    described = (response_format or {}).get("json_schema")
    schema = described.get("schema") if isinstance(described, dict) else None
    return schema if isinstance(schema, dict) else None


def check_extra(provider: str, params: Params, ours: frozenset[str], within: str = "") -> None:
    """Refuse what would get past a parameter of ours, or past a budget.

    Args:
        provider: who is told.
        params: the parameters; their `extra` is looked at.
        ours: the fields that `extra` may not have.
        within: the object inside `extra` that is meant, if not `extra` itself.

    Raises:
        InvalidRequestError: naming the field.
    """
    extra: Any = params.extra or {}
    if within:
        extra = extra.get(within)
    if not isinstance(extra, dict):
        return
    for field in extra:
        if field in ours:
            path = f"extra.{within}.{field}" if within else f"extra.{field}"
            raise InvalidRequestError(
                f"{provider} is told this by Overnight itself{_instead_of(field)}",
                param=path,
            )


def _instead_of(field: str) -> str:
    """What to use for a field that `extra` may not have."""
    if field in Params.__struct_fields__ or field == "max_completion_tokens":
        return "; use the parameter of that name"
    return "; use repeats for several answers" if field in {"n", "candidateCount"} else ""
