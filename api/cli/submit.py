"""`overnight submit`: a batch, from flags, prompts and files."""

import uuid
from contextlib import closing
from pathlib import Path
from typing import IO, Annotated, Any

import typer

from api.cli.client import SUBMIT_TIMEOUT_S, Client, connect
from api.cli.failure import ExitCode, Failure
from api.cli.flags import Flags, takes_flags
from api.cli.inputs import (
    STDIN,
    body_of,
    is_large,
    jobs_of_lines,
    jobs_of_prompts,
    open_lines,
)
from api.cli.output import note, show_json
from api.cli.sweep import SUFFIXES, read_batch_file
from api.cli.watch import end_with, follow

_UPLOAD_NAME = "prompts.jsonl"
#: Files of prompts that only the API reads.
_TABLES = (".csv", ".parquet")

Source = Annotated[
    str | None,
    typer.Argument(
        metavar="[FILE]",
        help="Prompts: JSONL, an object a line (`prompt` or `messages`; `custom_id`, `reference`), "
        "or a .csv or .parquet file with these columns; `-` reads JSONL from standard input. A "
        ".yaml or .json file is a whole batch or sweep (docs/sweeps.md); flags go over it.",
    ),
]
Prompts = Annotated[list[str] | None, typer.Option(help="A prompt; may be repeated.")]
Key = Annotated[str | None, typer.Option(help="The same key and input is the same batch.")]
Wait = Annotated[bool, typer.Option("--wait", help="Watch it until it ends.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print the batch as JSON.")]


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(submit)


@takes_flags
def submit(
    source: Source = None,
    *,
    prompt: Prompts = None,
    flags: Flags,
    idempotency_key: Key = None,
    wait: Wait = False,
    as_json: AsJson = False,
) -> None:
    """Submit a batch of prompts.

    Prints its id. With --wait it ends as `watch` does, by what came of the batch: 5 if jobs
    failed, 6 if it expired, 7 if it was cancelled.

    Example: overnight submit prompts.jsonl --model openai/gpt-5.2 --model groq/llama-3.3-70b
    --judge google/gemini-3.1-pro --criteria correct --budget 5 --wait;
    overnight submit sums.jsonl --model a/b --model c/d --check number --judge e/f --judge g/h
    --scoring pairwise --escalate-below 2 --canary
    """
    with connect() as client:
        body = make_body(client, source, prompt or [], flags)
        batch = send(client, body, idempotency_key)
        if wait:
            end_with(follow(client, batch["id"]), as_json=as_json)
        elif as_json:
            show_json(batch)
        else:
            print(batch["id"])
            note(f"{batch['counts']['jobs']['total']} jobs; `overnight watch {batch['id']}`")


def make_body(
    client: Client, source: str | None, prompts: list[str], flags: Flags
) -> dict[str, Any]:
    """The submission; a large input, and any table, is uploaded on the way."""
    asked = jobs_of_prompts(prompts, flags.reference or ())
    if source is not None and source.endswith(SUFFIXES):
        return _body_of_file(client, Path(source), asked, flags)
    body = body_of(flags, {})
    if source is not None and source.endswith(_TABLES):
        return body | {"input_file_id": _upload(client, Path(source))}
    if asked and source is None:
        return body | {"jobs": asked}
    with closing(open_lines(source or STDIN)) as lines:
        if not is_large(lines):
            return body | {"jobs": [*jobs_of_lines(lines), *asked]}
        if asked:
            raise Failure(f"{source} is large: put the prompts into it", ExitCode.USAGE)
        return body | {"input_file_id": _send_file(client, _UPLOAD_NAME, lines)}


def _body_of_file(
    client: Client, path: Path, asked: list[dict[str, Any]], flags: Flags
) -> dict[str, Any]:
    batch = read_batch_file(path)
    body = body_of(flags, batch.body)
    for one in batch.notes:
        note(one)
    if asked:
        return body | {"jobs": asked}
    if batch.prompts is None:
        return body
    return body | {"input_file_id": _upload(client, batch.prompts)}


def _upload(client: Client, path: Path) -> str:
    with closing(open_lines(str(path))) as file:
        return _send_file(client, path.name, file)


def _send_file(client: Client, name: str, file: IO[bytes]) -> str:
    if is_large(file):
        note(f"uploading {name}")
    uploaded = client.post("/v1/files", files={"file": (name, file)}, timeout=None)
    return str(uploaded["id"])


def send(client: Client, body: dict[str, Any], key: str | None = None) -> dict[str, Any]:
    """Submit. With a key of its own, so that asking again after a lost answer does no harm."""
    headers = {"Idempotency-Key": key or f"cli-{uuid.uuid4()}"}
    batch: dict[str, Any] = client.post(
        "/v1/batches", body, headers=headers, timeout=SUBMIT_TIMEOUT_S
    )
    return batch
