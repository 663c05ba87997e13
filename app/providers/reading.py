"""Reading what a provider sent without believing it: JSON, text and token counts.

An answer was paid for, so whatever can be saved of it is saved, and flagged.
"""

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from app.domain.completion import Usage
from app.domain.errors import MalformedCompletionError
from app.domain.money import ceil_div
from app.domain.prompt import ImagePart, Message, Params

TOKENS_MAX = 10**9
RAW_CHARS_MAX = 8_000
NAME_CHARS_MAX = 256
DEPTH_MAX = 32
BYTES_PER_TOKEN = 4
#: Roles and separators of one message, and one image: round numbers on the high side.
MESSAGE_TOKENS = 8
IMAGE_TOKENS = 1_600
_SURROGATES = re.compile("[\ud800-\udfff]")
_decoder = msgspec.json.Decoder()


def sanitise(text: str) -> tuple[str, bool]:
    """The text as every store takes it, and whether that changed it.

    NUL and lone surrogates become U+FFFD: PostgreSQL refuses the first, UTF-8 the second.
    """
    clean = text.replace("\0", "\ufffd") if "\0" in text else text
    if clean.isascii():
        return clean, clean is not text
    try:
        clean.encode()
    except UnicodeEncodeError:
        clean = _SURROGATES.sub("\ufffd", clean)
    return clean, clean is not text


def sanitise_json(value: Any, depth: int = DEPTH_MAX) -> Any:
    """The same for every text in a JSON value; what is nested too deep becomes None."""
    if isinstance(value, str):
        return sanitise(value)[0]
    if isinstance(value, dict | list) and not depth:
        return None
    if isinstance(value, dict):
        return {sanitise(key)[0]: sanitise_json(item, depth - 1) for key, item in value.items()}
    if isinstance(value, list):
        return [sanitise_json(item, depth - 1) for item in value]
    return value


def decode_json(body: bytes) -> tuple[Any, bool]:
    """The value of a body, and whether it had to be mended to be read.

    Raises:
        MalformedCompletionError: it is empty, or no JSON.
    """
    try:
        return _decoder.decode(body), False
    except (msgspec.DecodeError, ValueError, RecursionError):
        return _mended(body)


def _mended(body: bytes) -> tuple[Any, bool]:
    """A second look with the standard library, which reads lone surrogates and NaN."""
    if not body.strip():
        raise MalformedCompletionError("the answer is empty", reason="empty_body")
    try:
        return json.loads(body.decode("utf-8-sig", "replace")), True
    except (ValueError, RecursionError):
        raise MalformedCompletionError("the answer is not JSON", reason="not_json") from None


def name_of(value: Any, chars_max: int) -> str | None:
    """A name or an id, at most so long; None if it is no text."""
    return sanitise(value[:chars_max])[0] if isinstance(value, str) and value else None


def tool_call(call_id: Any, name: Any, arguments: Any) -> dict[str, Any]:
    """A call of a tool in OpenAI's shape, whoever asked for it: the arguments are JSON text."""
    text = arguments if isinstance(arguments, str) else json.dumps(arguments, ensure_ascii=False)
    call = {"id": call_id, "type": "function", "function": {"name": name, "arguments": text}}
    made: dict[str, Any] = sanitise_json(call)
    return made


def unknown_finish(said: Any) -> str:
    """The flag that keeps a reason to stop which we do not know."""
    return f"finish_reason:{'missing' if said is None else sanitise(str(said))[0][:40]}"


def count_of(value: Any) -> int | None:
    """A token count, or None if it is none that can be believed."""
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= TOKENS_MAX:
        return value
    return None


def detail_of(usage: Mapping[str, Any], group: str, field: str) -> int:
    """A count inside an object of the usage; 0 if it is not there."""
    details = usage.get(group)
    return count_of(details.get(field)) or 0 if isinstance(details, dict) else 0


def bounded_usage(
    *,
    input_tokens: int,
    cached: int,
    written: int,
    output_tokens: int,
    reasoning: int,
    estimated: bool,
) -> Usage:
    """Usage in which no part is more than its whole."""
    cached = min(cached, input_tokens)
    return Usage(
        input_tokens=input_tokens,
        cache_read_tokens=cached,
        cache_write_tokens=min(written, input_tokens - cached),
        output_tokens=output_tokens,
        reasoning_tokens=min(reasoning, output_tokens),
        estimated=estimated,
    )


def raw_json(value: Any) -> str | None:
    """A value as JSON text for the record; None if there is none, or it is unreasonably long."""
    if value is None:
        return None
    try:
        text = msgspec.json.encode(value).decode()
        if "\\u0000" in text:
            text = msgspec.json.encode(sanitise_json(value)).decode()
    except (OverflowError, ValueError, RecursionError):
        text = json.dumps(sanitise_json(value))
    return text if len(text) <= RAW_CHARS_MAX else None


def estimate_tokens(text: str) -> int:
    """Tokens of a text that nobody counted: its bytes by four, rounded up."""
    size = len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))
    return ceil_div(size, BYTES_PER_TOKEN)


def estimate_input_tokens(messages: Iterable[Message], params: Params | None = None) -> int:
    """Tokens of a prompt that nobody counted, with its images, tools and format."""
    total = 0
    if params is not None:
        for described in (params.response_format, params.tools):
            if described:
                total += ceil_div(len(msgspec.json.encode(described)), BYTES_PER_TOKEN)
    for message in messages:
        total += MESSAGE_TOKENS + estimate_tokens(message.text)
        if not isinstance(message.content, str):
            total += IMAGE_TOKENS * sum(isinstance(part, ImagePart) for part in message.content)
    return total
