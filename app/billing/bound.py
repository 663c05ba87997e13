"""An upper bound on the tokens of a prompt, before any provider has counted it.

Every token of a byte-level vocabulary stands for at least one byte, so a text has at most as
many tokens as it has bytes in UTF-8. What a provider's chat template puts around each message,
and before all of them, is bounded by flat amounts. A count beyond the bound is possible only
where a tokenizer first rewrites the text to a longer one; it shows up as an overrun.
"""

from collections.abc import Iterable

import msgspec

from app.domain.prompt import ImagePart, Message, Params, TextPart

#: Role markers and separators around one message; known templates take 4 to 8.
MESSAGE_TOKENS = 16
#: What comes before the first message and after the last: a template's own system prompt (the
#: longest known has about 40 tokens), and the opening of the answer.
REQUEST_TOKENS = 64
#: What describing a schema or tools takes beside their own text (Anthropic lists up to 530).
SCHEMA_TOKENS = 1024
#: The dearest known count of one image: gpt-4o-mini's 2,833 and 5,667 for each of at most 8 tiles.
IMAGE_TOKENS = 48_169
#: The same in OpenAI's low detail, which has no tiles.
LOW_DETAIL_IMAGE_TOKENS = 2_833


def input_tokens_max(messages: Iterable[Message], params: Params | None = None) -> int:
    """How many input tokens a request with these messages may be billed for, at most."""
    tokens = REQUEST_TOKENS
    for message in messages:
        content = message.content
        if isinstance(content, str):
            tokens += MESSAGE_TOKENS + _bytes_of(content)
        else:
            tokens += MESSAGE_TOKENS + _parts_tokens(content)
        if message.tool_calls is not None:
            tokens += SCHEMA_TOKENS + len(msgspec.json.encode(message.tool_calls))
    return tokens + (0 if params is None else schema_tokens_max(params))


def _parts_tokens(parts: Iterable[TextPart | ImagePart]) -> int:
    tokens = 0
    for part in parts:
        if isinstance(part, ImagePart):
            is_low = part.image_url.detail == "low"
            tokens += LOW_DETAIL_IMAGE_TOKENS if is_low else IMAGE_TOKENS
        else:
            tokens += _bytes_of(part.text) + 1  # parts may be joined by a line break
    return tokens


def schema_tokens_max(params: Params) -> int:
    """What parameters add: a response format, tools and vendor parameters are read, too."""
    tokens = 0
    for described in (params.response_format, params.tools, params.extra):
        if described:
            tokens += SCHEMA_TOKENS + len(msgspec.json.encode(described))
    return tokens


def _bytes_of(text: str) -> int:
    # A lone surrogate has no UTF-8; it would be sent, if at all, as a replacement of 3 bytes.
    return len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))
