"""What is asked: messages, and the parameters they are asked with."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

import msgspec
from typing_extensions import override

from app.domain.errors import InvalidRequestError

#: Providers are lower-case words; a custom server is `custom:<name>`.
PROVIDER_PATTERN = r"^(custom:)?[a-z0-9][a-z0-9_-]{0,62}$"
MODEL_CHARS_MAX = 256
TEXT_CHARS_MAX = 4_000_000
TOOLS_MAX = 128

Text = Annotated[str, msgspec.Meta(max_length=TEXT_CHARS_MAX)]
#: What every vendor takes as the name of a function.
FunctionName = Annotated[str, msgspec.Meta(pattern=r"^[a-zA-Z_][a-zA-Z0-9_-]{0,63}$")]


#: What every vendor takes as the name of a call.
CallId = Annotated[str, msgspec.Meta(pattern=r"^[a-zA-Z0-9_-]{1,64}$")]


class ImageUrl(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Where an image is: a data URI, or an https URL that the vendor fetches."""

    url: Text
    detail: str | None = None


class TextPart(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="type", tag="text"
):
    """A piece of text."""

    text: Text


class ImagePart(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="type", tag="image_url"
):
    """An image."""

    image_url: ImageUrl


class CalledFunction(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A function that a model asked to be called; `arguments` are a JSON object, as text."""

    name: FunctionName
    arguments: Text


class ToolCall(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="type", tag="function"
):
    """One call that a model asked for, known by its id."""

    id: CallId
    function: CalledFunction


class Message(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """One turn of a conversation, in OpenAI's shape.

    An assistant's may have `tool_calls`; each is answered by a turn of role `tool`, which names it.
    """

    role: Literal["system", "user", "assistant", "tool"]
    content: Text | list[TextPart | ImagePart]
    tool_calls: Annotated[list[ToolCall], msgspec.Meta(min_length=1, max_length=128)] | None = None
    tool_call_id: CallId | None = None

    @property
    def text(self) -> str:
        """The text of the message, without its images."""
        if isinstance(self.content, str):
            return self.content
        return "\n".join(part.text for part in self.content if isinstance(part, TextPart))


Messages = list[Message]


def is_plain(message: Message) -> bool:
    """Whether it is what every model takes: text, and no call of a tool."""
    return isinstance(message.content, str) and message.tool_calls is None


def check_turns(messages: Messages) -> bool:
    """Refuse what is no conversation: one asks something, and every call of a tool is answered.

    Answers whether they are plain, for it has looked at all of them.

    Raises:
        InvalidRequestError: `param` is empty, or the place of the turn that is wrong, as `[3]`.
    """
    asks, calls, plain = False, False, True
    for message in messages:
        role = message.role
        if role == "user":
            asks = True
        if role == "tool" or message.tool_calls is not None:
            calls = True
        if not isinstance(message.content, str):
            plain = False
    if not asks:
        raise InvalidRequestError("needs a message of role user", param="")
    if calls:
        _check_calls(messages)
    return plain and not calls


def _check_calls(messages: Messages) -> None:
    waiting: set[str] = set()
    for number, message in enumerate(messages):
        place = f"[{number}]"
        if message.role == "tool":
            if message.tool_call_id not in waiting:
                raise InvalidRequestError("answers no call of the turn before", param=place)
            waiting.discard(message.tool_call_id)
            continue
        if waiting:
            raise InvalidRequestError(f"call {min(waiting)} is not answered before", param=place)
        if message.tool_call_id is not None:
            raise InvalidRequestError("only role tool has a tool_call_id", param=place)
        if message.tool_calls is not None:
            waiting = _calls_of(message, place)
    if waiting:
        raise InvalidRequestError(f"call {min(waiting)} is not answered", param="")


def _calls_of(message: Message, place: str) -> set[str]:
    calls = message.tool_calls or []
    if message.role != "assistant":
        raise InvalidRequestError("only role assistant has tool_calls", param=place)
    for call in calls:
        try:
            msgspec.json.decode(call.function.arguments, type=dict[str, Any])
        except (msgspec.MsgspecError, UnicodeError, RecursionError):
            raise InvalidRequestError("arguments should be a JSON object", param=place) from None
    return {call.id for call in calls}


class Function(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A function that a model may ask to be called; `parameters` is a JSON schema."""

    name: FunctionName
    description: Text | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None


class Tool(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="type", tag="function"
):
    """A tool, in OpenAI's shape. Functions are all that every vendor knows."""

    function: Function


class FunctionRef(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A function by its name."""

    name: FunctionName


class ChosenTool(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="type", tag="function"
):
    """The tool that must be called."""

    function: FunctionRef


ToolChoice = Literal["auto", "none", "required"] | ChosenTool
ReasoningEffort = Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"]


class Params(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Parameters of a call, in OpenAI's names. Unset ones are not sent.

    `extra` is passed on verbatim, at the top level of the vendor's request body. With `embed` no
    answer is asked for but a vector of each message, with what it holds as parameters.
    """

    temperature: Annotated[float, msgspec.Meta(ge=0, le=2)] | None = None
    top_p: Annotated[float, msgspec.Meta(ge=0, le=1)] | None = None
    max_tokens: Annotated[int, msgspec.Meta(ge=1, le=1_000_000)] | None = None
    stop: Annotated[list[str], msgspec.Meta(max_length=16)] | None = None
    seed: Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)] | None = None
    response_format: dict[str, Any] | None = None
    tools: Annotated[list[Tool], msgspec.Meta(min_length=1, max_length=TOOLS_MAX)] | None = None
    tool_choice: ToolChoice | None = None
    reasoning_effort: ReasoningEffort | None = None
    extra: dict[str, Any] | None = None
    embed: dict[str, Any] | None = None

    def over(self, defaults: "Params") -> "Params":
        """These parameters, and where one is unset, the default's."""
        mine = {
            name: value
            for name in self.__struct_fields__
            if (value := getattr(self, name)) is not None
        }
        return msgspec.structs.replace(defaults, **mine)


class Prompt(msgspec.Struct, frozen=True):
    """What one job asks, as it is stored: the messages, and the reference answer if there is one.

    `params` are the job's own: they count for contestants where a variant's are unset.
    """

    messages: Messages
    reference: str | None = None
    params: Params | msgspec.UnsetType = msgspec.UNSET


def one_word_for_tokens(given: Mapping[str, Any]) -> dict[str, Any]:
    """Parameters as a client wrote them, with OpenAI's newer word for `max_tokens` as ours.

    Raises:
        InvalidRequestError: both are given.
    """
    named = dict(given)
    if (bound := named.pop("max_completion_tokens", None)) is None:
        return named
    if named.get("max_tokens") is not None:
        raise InvalidRequestError(
            "it is the same as max_tokens; give one of them", param="max_completion_tokens"
        )
    return {**named, "max_tokens": bound}


class ModelRef(msgspec.Struct, frozen=True):
    """A model of a provider, written `provider/model`."""

    provider: str
    model: str

    @override
    def __str__(self) -> str:
        return f"{self.provider}/{self.model}"

    @classmethod
    def parse(cls, text: str, *, param: str) -> "ModelRef":
        """Read `provider/model`; the model's name may itself hold slashes.

        Raises:
            InvalidRequestError: it is not of that form.
        """
        provider, slash, model = text.partition("/")
        if not slash or not provider or not model:
            raise InvalidRequestError(
                f"{param}: {text[:80]!r} is not a model; write provider/model, e.g. openai/gpt-5.2",
                param=param,
            )
        if len(text) > MODEL_CHARS_MAX or not text.isprintable() or " " in text:
            raise InvalidRequestError(
                f"{param}: a model's name has at most {MODEL_CHARS_MAX} printable characters and no spaces",
                param=param,
            )
        return cls(provider, model)


class Variant(msgspec.Struct, frozen=True):
    """One thing that is compared: a model with its parameters, known by its label in a batch."""

    label: str
    ref: ModelRef
    params: Params
    repeat: int = 0
