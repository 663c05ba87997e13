"""Batch files: a submission as the API takes it, in JSON or YAML, with what makes it a sweep.

On top of the fields of `POST /v1/batches` a file may say `prompts` (a file beside it, or a
list of texts), `grid` (values of parameters, all combined), and `window` (the hours to run in).
"""

import difflib
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date, datetime
from pathlib import Path
from typing import Any

import yaml

from api.cli.failure import ExitCode, Failure
from api.cli.grid import expand
from api.cli.window import next_hours
from app.domain.clock import utc_now
from app.domain.errors import InvalidRequestError
from app.domain.spec import BatchBody

SUFFIXES = (".json", ".yaml", ".yml")
_OURS = frozenset({"prompts", "grid", "window"})
#: What the API documents and may not take yet; it says so itself.
_ALSO = frozenset({"jobs", "sample", "stop_if_failed_percent", "cache", "retention"})
_KNOWN = _OURS | _ALSO | frozenset(BatchBody.model_fields)


@dataclass(frozen=True, slots=True)
class BatchFile:
    """What a batch file asks.

    Attributes:
        body: the submission, without the prompts that are in a file of their own.
        prompts: that file, if there is one.
        notes: what a person should know of it, such as axes that compare nothing.
    """

    body: dict[str, Any]
    prompts: Path | None = None
    notes: list[str] = field(default_factory=list)


def read_batch_file(path: Path, now: datetime | None = None) -> BatchFile:
    """Read a batch file.

    Raises:
        Failure: it cannot be read, or says something that cannot be meant; names the key.
    """
    given = _parsed(path)
    body = {name: _plain(value) for name, value in given.items() if name not in _OURS}
    notes: list[str] = []
    if "grid" in given:
        body["models"] = _with_grid(body.get("models"), given["grid"], path, notes)
    if "window" in given:
        body |= _hours(given, path, now or utc_now())
    prompts = given.get("prompts")
    if isinstance(prompts, list):
        body["jobs"] = [one if isinstance(one, dict) else {"prompt": one} for one in prompts]
        return BatchFile(body, None, notes)
    if prompts is None:
        return BatchFile(body, None, notes)
    if not isinstance(prompts, str) or "jobs" in given or "input_file_id" in given:
        raise _wrong(path, "prompts", "name one file, or list the prompts, and give no other jobs")
    return BatchFile(body, path.parent / prompts, notes)


def _parsed(path: Path) -> dict[str, Any]:
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeError:
        raise Failure(f"{path} cannot be read: it is not UTF-8", ExitCode.USAGE) from None
    except OSError as error:
        raise Failure(f"{path} cannot be read: {error.strerror}", ExitCode.USAGE) from None
    found = _json_of(text, path) if path.suffix == ".json" else _yaml_of(text, path)
    if not isinstance(found, dict):
        raise Failure(f"{path}: should be an object with the fields of a batch", ExitCode.USAGE)
    for name in found:
        if name not in _KNOWN:
            raise _unknown(path, str(name))
    return found


def _json_of(text: str, path: Path) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise Failure(f"{path}: not JSON ({error})", ExitCode.USAGE) from None


def _yaml_of(text: str, path: Path) -> Any:
    try:
        for node in _nodes(yaml.compose(text, yaml.SafeLoader)):
            _refuse_twice(node, path)
        return yaml.safe_load(text)
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise Failure(
            f"{path}: not YAML ({' '.join(str(error).split())})", ExitCode.USAGE
        ) from None


def _nodes(root: yaml.Node | None) -> Iterator[yaml.Node]:
    """Every node once: an anchor that is used often is still one."""
    waiting, seen = [root], set[int]()
    while waiting:
        node = waiting.pop()
        if node is None or id(node) in seen:
            continue
        seen.add(id(node))
        yield node
        if isinstance(node, yaml.SequenceNode):
            waiting += node.value
        elif isinstance(node, yaml.MappingNode):
            waiting += [one for pair in node.value for one in pair]


def _refuse_twice(node: yaml.Node, path: Path) -> None:
    """YAML lets the last of two keys win in silence; nobody means that."""
    if not isinstance(node, yaml.MappingNode):
        return
    seen: set[str] = set()
    for key, _ in node.value:
        if key.value in seen and isinstance(key, yaml.ScalarNode):
            line = key.start_mark.line + 1
            raise Failure(f"{path}, line {line}: {key.value!r} is there twice", ExitCode.USAGE)
        if isinstance(key, yaml.ScalarNode):
            seen.add(key.value)


def _plain(value: Any) -> Any:
    """YAML's moments as text: JSON has none."""
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, dict):
        return {name: _plain(one) for name, one in value.items()}
    return [_plain(one) for one in value] if isinstance(value, list) else value


def _with_grid(models: Any, grid: Any, path: Path, notes: list[str]) -> list[dict[str, Any]]:
    if not isinstance(grid, dict) or not all(
        isinstance(values, list) and values for values in grid.values()
    ):
        raise _wrong(path, "grid", "give each parameter a list of values")
    if not isinstance(models, list) or not models:
        raise _wrong(path, "models", "name at least one, such as openai/gpt-5.2")
    try:
        made = expand(models, grid)
    except InvalidRequestError as error:
        raise Failure(f"{path}: {error.message}", ExitCode.USAGE) from None
    notes += dict.fromkeys(made.notes)
    return made.models


def _hours(given: dict[str, Any], path: Path, now: datetime) -> dict[str, Any]:
    if "not_before" in given or "deadline" in given:
        raise _wrong(path, "window", "says not_before and deadline already; leave them out")
    try:
        hours = next_hours(str(given["window"]), now)
    except Failure as failure:
        raise Failure(f"{path}: {failure.message}", ExitCode.USAGE) from None
    begins = None if hours.begins is None else hours.begins.isoformat()
    return {"not_before": begins, "deadline": hours.ends.isoformat()}


def _unknown(path: Path, name: str) -> Failure:
    near = difflib.get_close_matches(name, _KNOWN, n=1)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    return _wrong(path, name, f"is not a field of a batch{hint}")


def _wrong(path: Path, name: str, why: str) -> Failure:
    return Failure(f"{path}: {name}: {why}", ExitCode.USAGE)
