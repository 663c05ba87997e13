"""Templates: a batch's messages, with the variables of each line put in.

The language is a part of Jinja2's, in its sandbox, with nothing that can compute: no calls, no
arithmetic, no assignments, no loop inside a loop. So a text takes time and room in proportion
to its template and its variables, and nothing of Python can be reached.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import msgspec
from jinja2 import StrictUndefined, TemplateSyntaxError, Undefined, UndefinedError, nodes
from jinja2 import Template as Compiled
from jinja2.exceptions import SecurityError, TemplateError
from jinja2.sandbox import ImmutableSandboxedEnvironment

from app.domain.errors import InvalidRequestError
from app.domain.prompt import (
    TEXT_CHARS_MAX,
    ImagePart,
    ImageUrl,
    Message,
    Messages,
    TextPart,
    check_turns,
)

#: Filters that need no more than their input's time and room.
FILTERS = frozenset(
    {"capitalize", "default", "first", "float", "int", "join", "last", "length", "lower"}
    | {"round", "string", "title", "tojson", "trim", "upper"}
)
_TAKEN: tuple[type[nodes.Node], ...] = (
    nodes.Template, nodes.Output, nodes.TemplateData, nodes.Name, nodes.Const, nodes.Getattr,
    nodes.Getitem, nodes.Filter, nodes.Keyword, nodes.If, nodes.CondExpr, nodes.For, nodes.Test,
    nodes.Compare, nodes.Operand, nodes.And, nodes.Or, nodes.Not, nodes.Concat, nodes.Tuple,
    nodes.List, nodes.Slice,
)  # fmt: skip
#: How the language calls what it does not take.
_WORDS = {
    "Assign": "set", "AssignBlock": "set", "Macro": "macro", "Call": "calling something",
    "CallBlock": "call", "Import": "import", "FromImport": "import", "Include": "include",
    "Extends": "extends", "Block": "block", "FilterBlock": "filter blocks",
}  # fmt: skip

Render = Callable[[Mapping[str, Any]], str]


class TemplateBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A template as a client writes it: messages, whose texts and image URLs are templates."""

    messages: Messages


class MessagesTemplate:
    """A batch's template, compiled once.

    Raises:
        InvalidRequestError: it cannot be read, or uses what is not taken; names the message.
    """

    def __init__(self, given: Mapping[str, Any]) -> None:
        body = _body_of(given)
        environment = _environment()
        self._messages = [
            _message(environment, message, f"template.messages[{index}]")
            for index, message in enumerate(body.messages)
        ]

    def render(self, variables: Mapping[str, Any], where: str) -> Messages:
        """The messages with a line's variables.

        Raises:
            InvalidRequestError: a variable is missing, or the text would be too long; names the
                line and the template's message.
        """
        try:
            return [make(variables) for make in self._messages]
        except _RenderError as error:
            param = f"{where}.vars"
            raise InvalidRequestError(
                f"{param}: {error.path} cannot be filled in: {error.why}", param=param
            ) from None


class _RenderError(Exception):
    def __init__(self, path: str, why: str) -> None:
        super().__init__(why)
        self.path, self.why = path, why


def _body_of(given: Mapping[str, Any]) -> TemplateBody:
    try:
        body = msgspec.convert(given, TemplateBody)
    except msgspec.ValidationError as error:
        reason, _, path = str(error).partition(" - at `$")
        param = "template" + path.rstrip("`")
        raise InvalidRequestError(
            f"{param}: {reason[:1].lower()}{reason[1:]}", param=param
        ) from None
    try:
        check_turns(body.messages)
    except InvalidRequestError as error:
        param = f"template.messages{error.param}"
        raise InvalidRequestError(f"{param}: {error.message}", param=param) from None
    return body


def _environment() -> ImmutableSandboxedEnvironment:
    environment = ImmutableSandboxedEnvironment(
        autoescape=False,
        undefined=StrictUndefined,
        finalize=_as_text,
        keep_trailing_newline=True,
    )
    environment.globals.clear()
    environment.filters = {name: environment.filters[name] for name in FILTERS}
    environment.filters["tojson"] = _json
    return environment


def _as_text(value: object) -> object:
    """What is no text is put in as JSON; null as nothing."""
    if value is None:
        return ""
    if isinstance(value, bool | dict | list):
        return _json(value)
    if isinstance(value, str | int | float | Undefined):
        return value
    raise SecurityError  # a method of a variable, say


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()


def _message(
    environment: ImmutableSandboxedEnvironment, message: Message, path: str
) -> Callable[[Mapping[str, Any]], Message]:
    content = message.content
    if isinstance(content, str):
        text = _text(environment, content, f"{path}.content")
        return lambda variables: msgspec.structs.replace(message, content=text(variables))
    parts = [
        _part(environment, part, f"{path}.content[{index}]") for index, part in enumerate(content)
    ]
    return lambda variables: msgspec.structs.replace(
        message, content=[make(variables) for make in parts]
    )


def _part(
    environment: ImmutableSandboxedEnvironment, part: TextPart | ImagePart, path: str
) -> Callable[[Mapping[str, Any]], TextPart | ImagePart]:
    if isinstance(part, TextPart):
        text = _text(environment, part.text, f"{path}.text")
        return lambda variables: TextPart(text(variables))
    url, detail = _text(environment, part.image_url.url, f"{path}.image_url.url"), part.image_url
    return lambda variables: ImagePart(ImageUrl(url(variables), detail.detail))


def _text(environment: ImmutableSandboxedEnvironment, source: str, path: str) -> Render:
    try:
        _check(environment.parse(source), path)
        compiled = environment.from_string(source)
    except TemplateSyntaxError as error:
        raise _refused(path, f"line {error.lineno}: {error.message}") from None
    except (TemplateError, RecursionError):
        raise _refused(path, "is no template that can be read") from None
    return lambda variables: _rendered(compiled, variables, path)


def _rendered(compiled: Compiled, variables: Mapping[str, Any], path: str) -> str:
    pieces, chars = [], 0
    try:
        for piece in compiled.generate(variables):
            chars += len(piece)
            if chars > TEXT_CHARS_MAX:
                raise _RenderError(path, f"it would have over {TEXT_CHARS_MAX:,} characters")
            pieces.append(piece)
    except UndefinedError as error:
        raise _RenderError(path, str(error.message)) from None
    except SecurityError:
        raise _RenderError(path, "it asks for what is no variable") from None
    except (TemplateError, TypeError, ValueError, ArithmeticError, RecursionError) as error:
        raise _RenderError(path, f"{type(error).__name__}") from None
    return "".join(pieces)


def _check(tree: nodes.Template, path: str) -> None:
    for node in _inside(tree):
        kind = type(node)
        if kind not in _TAKEN:
            what = _WORDS.get(kind.__name__, kind.__name__.lower())
            raise _refused(path, f"{what} is not taken; a template puts in, chooses and loops")
        if isinstance(node, nodes.Filter) and node.name not in FILTERS:
            raise _refused(
                path, f"the filter {node.name!r} is none of {', '.join(sorted(FILTERS))}"
            )
        if isinstance(node, nodes.For) and (node.recursive or _has_loop(node)):
            raise _refused(path, "a loop inside a loop is not taken")


def _has_loop(loop: nodes.For) -> bool:
    return any(True for _ in loop.find_all(nodes.For))


def _inside(node: nodes.Node) -> Iterator[nodes.Node]:
    yield node
    for child in node.iter_child_nodes():
        yield from _inside(child)


def _refused(path: str, why: str) -> InvalidRequestError:
    return InvalidRequestError(f"{path}: {why}", param=path)
