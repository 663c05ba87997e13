"""What vendors and their model families take: as tables, checked before anything is paid.

Only what a vendor is known to refuse, or to ignore, is refused here: of a model that no table
knows the vendor itself is the judge. A row that is wrong would lock people out.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from typing import Any

import msgspec

from app.domain.errors import InvalidRequestError
from app.domain.prompt import ChosenTool, ImagePart, Message, Params
from app.providers.writing import schema_in

SAMPLING = frozenset({"temperature", "top_p"})
TOOLS = frozenset({"tools", "tool_choice"})
FORMATS = frozenset({"json_object", "json_schema", "text"})
#: How a tool can be chosen; `function` is the one that is named.
CHOICES = frozenset({"auto", "function", "none", "required"})


class Images(StrEnum):
    """Where the images may be that a model takes."""

    ANYWHERE = "anywhere"  # a server of one's own may fetch whatever it can reach
    URLS = "urls"  # in data URIs, and at https URLs, which the vendor fetches
    DATA = "data"  # in data URIs alone: we would have to fetch
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Taken:
    """What the models of a family take.

    Attributes:
        refused: parameters that they never take.
        thinks: whether they think where `reasoning_effort` says nothing.
        refused_thinking: parameters that they do not take while they think.
        efforts: the values of `reasoning_effort`; None where any may be.
        formats: the types of `response_format`; None where any may be.
        choices: the values of `tool_choice`.
        temperature_max: the largest temperature.
        stops_max: the most stop sequences.
        one_sampler: whether temperature and top_p exclude each other.
        tools_or_format: whether tools and JSON exclude each other.
        images: where images may be.
        image_types: the media types of data URIs; empty where any may be.
    """

    refused: frozenset[str] = frozenset()
    thinks: bool = False
    refused_thinking: frozenset[str] = frozenset()
    efforts: frozenset[str] | None = None
    formats: frozenset[str] | None = FORMATS
    choices: frozenset[str] = CHOICES
    temperature_max: float = 2.0
    stops_max: int | None = None
    one_sampler: bool = False
    tools_or_format: bool = False
    images: Images = Images.URLS
    image_types: frozenset[str] = frozenset()

    def is_thinking(self, params: Params) -> bool:
        """Whether a model thinks with these parameters, as far as is known."""
        effort = params.reasoning_effort
        return self.thinks if effort is None else effort != "none"

    def fitted(self, params: Params) -> Params:
        """The parameters to send: these, less what the model does not take.

        That never comes from a client, whose parameters were checked, but from a mode: a judge's
        format, which its prompt asks for in words, too, or the temperatures of blended samples.
        """
        changes: dict[str, Any] = {
            field: None for field in self.refused if getattr(params, field) is not None
        }
        if self.refused_thinking and self.is_thinking(params):
            changes.update(dict.fromkeys(self.refused_thinking))
        temperature = params.temperature
        if temperature is not None and "temperature" not in changes:
            if self.one_sampler and params.top_p is not None:
                changes["temperature"] = None
            elif temperature > self.temperature_max:
                changes["temperature"] = self.temperature_max
        asked = params.response_format
        if asked is not None and self.formats is not None and asked.get("type") not in self.formats:
            nearest = {"type": "json_object"} if "json_object" in self.formats else None
            changes["response_format"] = nearest
        return msgspec.structs.replace(params, **changes) if changes else params


class Table:
    """What a vendor's models take: families by the beginning of a name, the first that fits."""

    __slots__ = ("_families", "_otherwise", "of")

    def __init__(self, otherwise: Taken, families: Iterable[tuple[str, Taken]] = ()) -> None:
        self._otherwise = otherwise
        self._families = tuple(families)
        self.of = lru_cache(maxsize=1024)(self._of)

    def _of(self, model: str) -> Taken:
        name = model.lower()
        return next(
            (taken for prefix, taken in self._families if name.startswith(prefix)), self._otherwise
        )


def check_params(vendor: str, taken: Taken, params: Params, model: str) -> None:
    """Refuse what the model does not take.

    Raises:
        InvalidRequestError: naming the vendor; `param` is relative to the parameters.
    """
    whose = f"{vendor}'s {model}"
    if params.embed is not None:
        raise InvalidRequestError(f"{vendor} has no embeddings here", param="embed")
    for field in sorted(taken.refused):
        if getattr(params, field) is not None:
            raise InvalidRequestError(f"{whose} does not take it", param=field)
    _check_effort(whose, taken, params)
    _check_thinking(whose, taken, params)
    _check_sampling(whose, taken, params)
    _check_format(whose, taken, params)
    _check_tools(whose, taken, params)


def _check_effort(whose: str, taken: Taken, params: Params) -> None:
    effort = params.reasoning_effort
    if effort is None or taken.efforts is None or effort in taken.efforts:
        return
    says = f"takes only {_listed(taken.efforts)}" if taken.efforts else "does not take it"
    raise InvalidRequestError(f"{whose} {says}", param="reasoning_effort")


def _check_thinking(whose: str, taken: Taken, params: Params) -> None:
    if not taken.is_thinking(params):
        return
    for field in sorted(taken.refused_thinking):
        if getattr(params, field) is not None:
            can_be_off = taken.efforts is None or "none" in taken.efforts
            hint = ' while it thinks; set reasoning_effort "none"' if can_be_off else ""
            raise InvalidRequestError(f"{whose} does not take it{hint}", param=field)


def _check_sampling(whose: str, taken: Taken, params: Params) -> None:
    temperature, stop = params.temperature, params.stop
    if temperature is not None and temperature > taken.temperature_max:
        raise InvalidRequestError(
            f"{whose} takes at most {taken.temperature_max:g}", param="temperature"
        )
    if taken.one_sampler and temperature is not None and params.top_p is not None:
        raise InvalidRequestError(f"{whose} takes temperature or top_p, not both", param="top_p")
    if stop is not None and taken.stops_max is not None and len(stop) > taken.stops_max:
        raise InvalidRequestError(
            f"{whose} takes at most {taken.stops_max} sequences", param="stop"
        )


def _check_format(whose: str, taken: Taken, params: Params) -> None:
    asked = params.response_format
    if asked is None or taken.formats is None:
        return
    if (kind := asked.get("type")) not in taken.formats:
        raise InvalidRequestError(
            f"{whose} takes only the types {_listed(taken.formats)}", param="response_format.type"
        )
    if kind == "json_schema" and schema_in(asked) is None:
        raise InvalidRequestError(
            "a json_schema needs a name and a schema", param="response_format.json_schema"
        )
    if taken.tools_or_format and params.tools and kind != "text":
        raise InvalidRequestError(f"{whose} takes tools or JSON, not both", param="response_format")


def _check_tools(whose: str, taken: Taken, params: Params) -> None:
    choice = params.tool_choice
    if choice is None:
        return
    names = [tool.function.name for tool in params.tools or ()]
    if not names:
        raise InvalidRequestError("there are no tools to choose from", param="tool_choice")
    if isinstance(choice, ChosenTool) and choice.function.name not in names:
        raise InvalidRequestError("there is no such tool", param="tool_choice")
    kind = "function" if isinstance(choice, ChosenTool) else choice
    if kind not in taken.choices:
        raise InvalidRequestError(
            f"{whose} takes only {_listed(taken.choices)}", param="tool_choice"
        )


def check_images(vendor: str, taken: Taken, messages: Sequence[Message], model: str) -> None:
    """Refuse images that the model does not take, or that nobody would fetch.

    Raises:
        InvalidRequestError: naming the vendor; `param` is relative to the prompt.
    """
    for number, message in enumerate(messages):
        if isinstance(message.content, str):
            continue
        for place, part in enumerate(message.content):
            if isinstance(part, ImagePart) and (why := _unfit(taken, part.image_url.url)):
                raise InvalidRequestError(
                    f"{vendor}'s {model} {why}",
                    param=f"messages[{number}].content[{place}].image_url.url",
                )


def _unfit(taken: Taken, url: str) -> str | None:
    """Why an image of this URL is not taken; None if it is."""
    if taken.images is Images.ANYWHERE:
        return None
    if taken.images is Images.NONE:
        return "takes no images"
    if (data := image_data(url)) is not None:
        is_taken = not taken.image_types or data[0] in taken.image_types
        return None if is_taken else f"takes only {_listed(taken.image_types)}"
    if taken.images is Images.DATA:
        return "does not fetch images; write data:image/…;base64,…"
    is_fetched = url.startswith("https://")
    return None if is_fetched else "takes images at https:// URLs, or as data:image/…;base64,…"


def image_data(url: str) -> tuple[str, str] | None:
    """The media type and the base64 text of a data URI; None if it is none."""
    head, comma, data = url.partition(",")
    if not comma or not head.startswith("data:image/") or not head.endswith(";base64"):
        return None
    return head.removeprefix("data:").partition(";")[0].lower(), data


def _listed(words: frozenset[str]) -> str:
    return ", ".join(sorted(words))
