"""Reading what a provider sent without believing it: JSON, text and token counts.

An answer was paid for, so whatever can be saved of it is saved, and flagged.
"""

import json
import re
from collections.abc import Iterable
from typing import Any

import msgspec

from app.domain.errors import MalformedCompletionError
from app.domain.money import ceil_div
from app.domain.prompt import ImagePart, Message

TOKENS_MAX = 10**9
RAW_CHARS_MAX = 8_000
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


def count_of(value: Any) -> int | None:
    """A token count, or None if it is none that can be believed."""
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= TOKENS_MAX:
        return value
    return None


def raw_json(value: Any) -> str | None:
    """A value as JSON text for the record; None if there is none, or it is unreasonably long."""
    if value is None:
        return None
    try:
        text = msgspec.json.encode(sanitise_json(value)).decode()
    except (OverflowError, ValueError, RecursionError):
        text = json.dumps(sanitise_json(value))
    return text if len(text) <= RAW_CHARS_MAX else None


def estimate_tokens(text: str) -> int:
    """Tokens of a text that nobody counted: its bytes by four, rounded up."""
    size = len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))
    return ceil_div(size, BYTES_PER_TOKEN)


def estimate_input_tokens(messages: Iterable[Message]) -> int:
    """Tokens of a prompt that nobody counted, its images included."""
    total = 0
    for message in messages:
        total += MESSAGE_TOKENS + estimate_tokens(message.text)
        if not isinstance(message.content, str):
            total += IMAGE_TOKENS * sum(isinstance(part, ImagePart) for part in message.content)
    return total
