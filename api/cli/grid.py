"""A parameter grid: models by values become the labelled models of a submission. Pure."""

import difflib
import itertools
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from app.domain.errors import InvalidRequestError
from app.domain.prompt import ModelRef, Params
from app.pipeline.variants import read_params
from app.providers import registry

_LABEL_CHARS_MAX = 100
#: A vendor's own parameters are inside `extra`.
_NAMES = (*Params.__struct_fields__, "max_completion_tokens")

Grid = Mapping[str, Sequence[Any]]


@dataclass(slots=True)
class Expanded:
    """The cells of a grid as models of a submission, and what to say about them."""

    models: list[dict[str, Any]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def expand(models: Sequence[Any], grid: Grid) -> Expanded:
    """Every model with every combination of the grid's values, each cell once.

    An axis that a model takes no value of is left out for that model, and cells that are then
    the same are one; both are said. Values over those of a model's own `params`.

    Raises:
        InvalidRequestError: a model's name is none, or an axis no parameter.
    """
    made = Expanded()
    for name, values in grid.items():
        _check_name(name)
        if len(_distinct(values)) == 1:
            made.notes.append(f"grid.{name} has one value: it compares nothing")
    seen: dict[str, str] = {}
    for index, given in enumerate(models):
        model = {"model": given} if isinstance(given, str) else dict(given)
        axes = _axes_for(model, grid, made.notes, f"models[{index}]")
        for values in itertools.product(*axes.values()):
            _add(made, seen, model, dict(zip(axes, values, strict=True)), axes)
    return made


def _check_name(name: str) -> None:
    if name in _NAMES:
        return
    near = difflib.get_close_matches(name, _NAMES, 1)
    hint = f"; did you mean {near[0]!r}?" if near else "; there are " + ", ".join(_NAMES)
    raise InvalidRequestError(f"grid.{name}: is no parameter{hint}", param=f"grid.{name}")


def _axes_for(
    model: Mapping[str, Any], grid: Grid, notes: list[str], where: str
) -> dict[str, list[Any]]:
    """The axes that the model takes, each value once."""
    ref = ModelRef.parse(str(model.get("model", "")), param=where)
    axes: dict[str, list[Any]] = {}
    for name, values in grid.items():
        distinct = _distinct(values)
        if any(_takes(ref, name, value) for value in distinct):
            axes[name] = distinct
        else:
            notes.append(f"{ref} takes none of grid.{name}: it is asked without")
        if len(distinct) < len(values):
            notes.append(f"grid.{name} says a value twice: it is used once")
    return axes


def _takes(ref: ModelRef, name: str, value: object) -> bool:
    """Whether a model takes a parameter, as far as is known here; the API has the last word."""
    if not registry.is_known(ref.provider):
        return True
    try:
        registry.adapter_for(ref.provider).check(read_params({name: value}, "grid"), ref.model)
    except InvalidRequestError:
        return False
    return True


def _add(
    made: Expanded,
    seen: dict[str, str],
    model: Mapping[str, Any],
    cell: Mapping[str, Any],
    axes: Mapping[str, Sequence[Any]],
) -> None:
    params = {**model.get("params", {}), **cell}
    label = _label(str(model.get("label") or model["model"]), cell, axes, len(made.models))
    same = json.dumps([model["model"], params], sort_keys=True)
    if same in seen:
        made.notes.append(f"{label} is the same as {seen[same]}: it is asked once")
        return
    seen[same] = label
    made.models.append({"model": model["model"], "params": params, "label": label})


def _label(
    base: str, cell: Mapping[str, Any], axes: Mapping[str, Sequence[Any]], number: int
) -> str:
    """`openai/gpt-5.2 temperature=0.7`, of the axes that tell cells apart."""
    told = [f"{name}={_word(value)}" for name, value in cell.items() if len(axes[name]) > 1]
    label = " ".join([base, *told])
    if len(label) <= _LABEL_CHARS_MAX:
        return label
    return f"{label[: _LABEL_CHARS_MAX - 8]}… {number + 1}"


def _word(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _distinct(values: Sequence[Any]) -> list[Any]:
    return list({json.dumps(value, sort_keys=True): value for value in values}.values())
