"""From what a person types to the body of a submission."""

import json
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from tempfile import SpooledTemporaryFile
from typing import IO, Any

from api.cli.failure import ExitCode, Failure
from api.cli.flags import Flags

#: What is larger than this goes through `POST /v1/files`.
INLINE_BYTES_MAX = 1024 * 1024
STDIN = "-"
#: What `--deadline` says for no deadline at all.
_NO_DEADLINE = "none"
#: Checks whose value is no text.
_JSON_CHECKS = ("number", "json_schema")


def body_of(flags: Flags, base: dict[str, Any]) -> dict[str, Any]:
    """A submission without its jobs: what the batch file says, under what the flags say."""
    given = {
        "name": flags.name,
        "mode": flags.mode,
        "models": [model_of(text) for text in flags.model or ()] or None,
        "params": None if flags.params is None else _object(flags.params, "--params"),
        "repeats": flags.repeats,
        "budget_usd": flags.budget,
        "unpriced": flags.unpriced,
        "sample": flags.sample,
        "stop_if_failed_percent": flags.stop_if_failed,
        "cache": flags.cache or None,
        "at_most_once": flags.at_most_once or None,
        "not_before": flags.not_before,
        "deadline": flags.deadline,
        "priority": flags.priority,
        "webhook": None if flags.webhook is None else {"url": flags.webhook},
        "metadata": _metadata_of(flags.metadata or ()) or None,
    }
    body = base | _given(given)
    if flags.deadline == _NO_DEADLINE:
        body["deadline"] = None
    for field, nested in (
        ("judge", _judge_of(flags)),
        ("blend", _blend_of(flags)),
        ("mesh", _mesh_of(flags)),
    ):
        if nested:
            body[field] = (body.get(field) or {}) | nested
    if "mode" not in body:
        body["mode"] = _mode_for(body)
    if not body.get("models"):
        raise Failure("name at least one --model, such as openai/gpt-5.2", ExitCode.USAGE)
    return body


def _given(values: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}


def _judge_of(flags: Flags) -> dict[str, Any]:
    return _given(
        {
            "judges": [model_of(text) for text in flags.judge or ()] or None,
            "criteria": list(flags.criteria or ()) or None,
            "scoring": flags.scoring,
            "pairs": flags.pairs,
            "checks": [check_of(text) for text in flags.check or ()] or None,
            "escalate_below": flags.escalate_below,
            "canary": flags.canary or None,
            "allow_self": flags.allow_self or None,
        }
    )


def _blend_of(flags: Flags) -> dict[str, Any]:
    return _given(
        {
            "strategy": flags.blend,
            "synthesizer": None if flags.synthesizer is None else model_of(flags.synthesizer),
            "layers": flags.layers,
            "samples": flags.samples,
            "min_candidates": flags.min_candidates,
            "contribution": flags.contribution or None,
        }
    )


def _mesh_of(flags: Flags) -> dict[str, Any]:
    return _given(
        {
            "fallback": [model_of(text) for text in flags.fallback or ()] or None,
            "strategy": flags.mesh_strategy,
        }
    )


def _metadata_of(pairs: Sequence[str]) -> dict[str, str]:
    metadata = {}
    for pair in pairs:
        key, sign, value = pair.partition("=")
        if not sign or not key:
            raise Failure(f"--metadata: {pair!r} is no key=value", ExitCode.USAGE)
        metadata[key] = value
    return metadata


def _mode_for(body: dict[str, Any]) -> str:
    """What was meant: judges judge, several models are compared, one just answers."""
    for mode in ("blend", "mesh", "judge"):
        if mode in body:
            return mode
    is_many = len(body.get("models", ())) > 1 or body.get("repeats", 1) > 1
    return "compare" if is_many else "chat"


def model_of(text: str) -> str | dict[str, Any]:
    """A model as the API takes it: its name, or JSON with parameters and a label of its own."""
    return _object(text, "--model") if text.lstrip().startswith("{") else text


def check_of(text: str) -> dict[str, Any]:
    """A check as the API takes it: its kind, kind=value, or JSON for what more there is to say.

    Whether there is such a kind, and what its value must be, is the API's to say.
    """
    if text.lstrip().startswith("{"):
        return _object(text, "--check")
    kind, sign, value = text.partition("=")
    if not sign:
        return {"kind": kind}
    if kind not in _JSON_CHECKS:
        return {"kind": kind, "value": value}
    try:
        return {"kind": kind, "value": json.loads(value)}
    except ValueError as error:
        raise Failure(f"--check {kind}: its value is not JSON ({error})", ExitCode.USAGE) from None


def _object(text: str, where: str) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except ValueError as error:
        raise Failure(f"{where}: not JSON ({error})", ExitCode.USAGE) from None
    if not isinstance(found, dict):
        raise Failure(f"{where}: give a JSON object", ExitCode.USAGE)
    return found


def _unreadable(path: Path | str, error: Exception) -> Failure:
    reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
    return Failure(f"{path} cannot be read: {reason}", ExitCode.USAGE)


def jobs_of_prompts(prompts: Sequence[str], references: Sequence[str]) -> list[dict[str, Any]]:
    """A job for each prompt given as a flag; the first reference is the first prompt's."""
    if len(references) > len(prompts):
        raise Failure("--reference: each goes with a --prompt", ExitCode.USAGE)
    jobs = [{"prompt": prompt} for prompt in prompts]
    for job, reference in zip(jobs, references, strict=False):
        job["reference"] = reference
    return jobs


def jobs_of_lines(lines: Iterable[bytes]) -> list[dict[str, Any]]:
    """A job for each line of JSON; empty lines are passed over."""
    return [
        _object(_decoded(line, number), f"line {number}")
        for number, line in enumerate(lines, 1)
        if line.strip()
    ]


def _decoded(line: bytes, number: int) -> str:
    try:
        return line.decode()
    except UnicodeDecodeError:
        raise Failure(f"line {number}: it is not UTF-8", ExitCode.USAGE) from None


def open_lines(source: str) -> IO[bytes]:
    """The JSONL input: a file's, or all of standard input's, which may only be read once."""
    if source != STDIN:
        try:
            return Path(source).open("rb")
        except OSError as error:
            raise _unreadable(source, error) from None
    if sys.stdin.isatty():
        raise Failure(
            "give prompts: a JSONL file, lines on standard input, or --prompt", ExitCode.USAGE
        )
    spool = SpooledTemporaryFile(INLINE_BYTES_MAX)  # noqa: SIM115 - closed by its reader
    while chunk := sys.stdin.buffer.read(INLINE_BYTES_MAX):
        spool.write(chunk)
    spool.seek(0)
    return spool


def is_large(lines: IO[bytes]) -> bool:
    """Whether the input is better sent as a file."""
    size = lines.seek(0, 2)
    lines.seek(0)
    return size > INLINE_BYTES_MAX
