"""`overnight results`: what came of every job, for a person, or as data."""

import json
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import IO, Annotated, Any

import typer

from api.cli.client import connect
from api.cli.failure import Failure
from api.cli.output import dollars, note, short, show_table

#: What a table for a person has at most.
_ROWS_MAX = 50


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(results)


def results(
    batch_id: Annotated[str, typer.Argument(metavar="BATCH")],
    *,
    as_jsonl: Annotated[bool, typer.Option("--jsonl", help="A line of JSON per job.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON array.")] = False,
    only_closed: Annotated[
        bool, typer.Option("--only-closed", help="Leave out jobs that are not done.")
    ] = False,
    joined: Annotated[
        bool, typer.Option("--joined", help="Of a retry: with what the batches before it have.")
    ] = False,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="Write to a file; JSONL unless --json.")
    ] = None,
) -> None:
    """Print what came of every job."""
    query = {"only": "closed" if only_closed else None, "joined": "true" if joined else None}
    with (
        connect() as client,
        client.lines(f"/v1/batches/{batch_id}/results", format="jsonl", **query) as lines,
    ):
        if as_json:
            with _place(output) as file:
                _write_array(file, lines)
        elif as_jsonl or output is not None:
            with _place(output) as file:
                file.writelines(line + b"\n" for line in lines)
        else:
            _show(lines)


@contextmanager
def _place(path: Path | None) -> Iterator[IO[bytes]]:
    if path is None:
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    try:
        with path.open("wb") as file:
            yield file
    except OSError as error:
        raise Failure(f"{path} cannot be written: {error.strerror}") from None


def _write_array(file: IO[bytes], lines: Iterable[bytes]) -> None:
    file.write(b"[")
    for number, line in enumerate(lines):
        file.write(b",\n " + line if number else b"\n " + line)
    file.write(b"\n]\n")


def _show(lines: Iterator[bytes]) -> None:
    shown = [json.loads(line) for line in islice(lines, _ROWS_MAX)]
    rows = (
        (
            job["custom_id"],
            job["state"],
            winner_of(job),
            dollars(job["cost_nanos"]),
            short(text_of(job)),
        )
        for job in shown
    )
    show_table(("job", "state", "winner", "cost", "answer"), rows, right=("cost",))
    if next(lines, None) is not None:
        note(f"Only the first {_ROWS_MAX}; --jsonl has them all.")


def winner_of(job: dict[str, Any]) -> str | None:
    """Whose answer the judges thought best."""
    verdict = job["verdict"]
    return None if verdict is None else verdict["winner"]


def text_of(job: dict[str, Any]) -> str | None:
    """The answer to show for a job: the best one, or the first; or why there is none."""
    if job["error"] is not None:
        return f"({job['error']['message'] or job['error']['reason']})"
    answers = [
        one for one in job["completions"] if one["role"] == "candidate" and one["text"] is not None
    ]
    winner = winner_of(job)
    best = [one for one in answers if one["label"] == winner]
    chosen = [*best, *answers]
    return chosen[0]["text"] if chosen else None
