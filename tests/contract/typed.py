"""Whether a body is one that a vendor's client could be asked for: by the client's own types.

Pydantic looks into an `Iterable` of a TypedDict only when it is read, and lets unknown fields pass.
"""

import typing
from collections.abc import Mapping
from types import UnionType
from typing import Any, Literal, NotRequired, Required, Union, get_args, get_origin, get_type_hints

from typing_extensions import is_typeddict

_WRAPPERS = (Required, NotRequired, typing.Required, typing.NotRequired, typing.Annotated)


def unfit(value: Any, kind: Any, where: str = "") -> str | None:
    """Where a value is none of a type, or None if it is one; unknown fields are none."""
    if get_origin(kind) in _WRAPPERS:
        return unfit(value, get_args(kind)[0], where)
    if is_typeddict(kind):
        return _unfit_fields(value, kind, where)
    if get_origin(kind) is not None:
        return _unfit_parts(value, kind, where)
    plain = {float: (int, float), None: type(None), Any: object}.get(kind, kind)
    return None if isinstance(value, plain) else f"{where}: {value!r}"


def _unfit_fields(value: Any, kind: Any, where: str) -> str | None:
    if not isinstance(value, dict):
        return f"{where}: no object"
    hints = get_type_hints(kind, include_extras=True)
    wrong = (value.keys() - hints.keys()) | (kind.__required_keys__ - value.keys())
    if wrong:
        return f"{where}: fields {sorted(wrong)}"
    found = (unfit(one, hints[name], f"{where}.{name}") for name, one in value.items())
    return next((one for one in found if one), None)


def _unfit_parts(value: Any, kind: Any, where: str) -> str | None:
    origin, args = get_origin(kind), get_args(kind)
    if origin is Literal:
        return None if value in args else f"{where}: {value!r}"
    if origin in (Union, UnionType):
        found = [unfit(value, arg, where) for arg in args]
        return None if None in found else max((one for one in found if one), key=len)
    if issubclass(origin, Mapping):
        return None if isinstance(value, dict) else f"{where}: no object"
    if not isinstance(value, list):
        return f"{where}: no list"
    each = (unfit(one, args[0], f"{where}[{number}]") for number, one in enumerate(value))
    return next((one for one in each if one), None)
