"""What OpenAI has no words for: the `overnight` object of a body, or of a batch's metadata."""

from collections.abc import Mapping
from typing import Any

import msgspec
from pydantic import ValidationError

from app.domain.errors import InvalidRequestError
from app.domain.spec import BatchBody

FIELD = "overnight"
#: What a line may say, and what a batch may say beside that, for all of its lines.
_OF_LINE = frozenset({"mode", "models", "judge", "blend", "mesh", "repeats", "reference"})
_OF_BATCH = frozenset(
    {"name", "budget_usd", "unpriced", "priority", "stop_if_failed_percent", "cache"}
    | {"at_most_once", "webhook", "retention"}
)
#: The mode that the presence of a part stands for.
_PARTS = ("judge", "blend", "mesh")

Fields = dict[str, Any]
_NOBODY = "simulated/nobody"


def read_beyond(given: Any, where: str, *, of_batch: bool = False) -> Fields:
    """An `overnight` object, as far as its names go.

    Raises:
        InvalidRequestError: it is no object, or names what is not there.
    """
    if not isinstance(given, dict):
        raise InvalidRequestError(f"{where}: should be an object", param=where)
    known = _OF_LINE | _OF_BATCH if of_batch else _OF_LINE
    for name in given:
        if name not in known:
            param = f"{where}.{name}"
            raise InvalidRequestError(
                f"{param}: is none of {', '.join(sorted(known))}", param=param
            )
    return given


def batch_defaults(metadata: Mapping[str, str]) -> Fields:
    """What a batch's metadata says for all of its lines, under `overnight`, as JSON.

    Raises:
        InvalidRequestError: it is no such JSON.
    """
    text = metadata.get(FIELD)
    if text is None:
        return {}
    where = f"metadata.{FIELD}"
    try:
        given = msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError):
        raise InvalidRequestError(f"{where}: is no JSON", param=where) from None
    return read_beyond(given, where, of_batch=True)


def batch_settings(metadata: Mapping[str, str]) -> BatchBody:
    """The settings of a batch as a whole, from what its metadata says.

    Raises:
        InvalidRequestError: one is out of its range.
    """
    given = batch_defaults(metadata)
    fields = {name: value for name, value in over(given, {}).items() if name in _OF_BATCH}
    # Mode and models are the lines': these are never asked.
    try:
        return _validated({**fields, "mode": "chat", "models": [_NOBODY]})
    except InvalidRequestError as error:
        where = f"metadata.{FIELD}.{error.message}"
        raise InvalidRequestError(where, param=f"metadata.{FIELD}.{error.param}") from None


def of_line(defaults: Mapping[str, Any]) -> Fields:
    """Of a batch's defaults, what its lines take."""
    return {name: value for name, value in defaults.items() if name in _OF_LINE}


def over(said: Mapping[str, Any], defaults: Mapping[str, Any]) -> Fields:
    """What a line says, over the batch's defaults; null says that it wants none of it."""
    merged = {**defaults, **said}
    return {name: value for name, value in merged.items() if value is not None}


def body_of(model: str | None, beyond: Mapping[str, Any]) -> BatchBody:
    """The settings that a line stands for.

    Args:
        model: the body's, as `provider/model`.
        beyond: the body's `overnight` object, over the batch's.

    Raises:
        InvalidRequestError: they do not fit each other; `param` is within `overnight`.
    """
    fields = dict(beyond)
    models = fields.setdefault("models", [] if model is None else [model])
    fields.setdefault("mode", _mode_of(fields, models))
    return _validated(fields)


def _validated(fields: Fields) -> BatchBody:
    try:
        return BatchBody.model_validate_json(msgspec.json.encode(fields))
    except ValidationError as error:
        problem = error.errors(include_url=False, include_context=False, include_input=False)[0]
        param = ".".join(str(part) for part in problem["loc"])
        message = problem["msg"][:1].lower() + problem["msg"][1:]
        raise InvalidRequestError(f"{param}: {message}", param=param) from None


def _mode_of(fields: Mapping[str, Any], models: Any) -> str:
    part = next((name for name in _PARTS if name in fields), None)
    if part is not None:
        return part
    several = isinstance(models, list) and len(models) > 1
    return "compare" if several or fields.get("repeats", 1) != 1 else "chat"
