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
from api.cli.failure import ExitCode, Failure
from api.cli.output import dollars, note, short, show_table

#: What a table for a person has at most.
_ROWS_MAX = 50
_FORMATS = ("jsonl", "csv", "parquet")


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(results)


def results(  # noqa: PLR0913 - a flag is a parameter
    batch_id: Annotated[str, typer.Argument(metavar="BATCH")],
    *,
    as_jsonl: Annotated[bool, typer.Option("--jsonl", help="A line of JSON per job.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON array.")] = False,
    form: Annotated[
        str | None,
        typer.Option("--format", help="csv or parquet: a row for each completion; or jsonl."),
    ] = None,
    table: Annotated[
        bool, typer.Option("--table", help="Prompts down, variants across, side by side.")
    ] = False,
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
    """Print what came of every job.

    Example: overnight results BATCH --format csv -o results.csv
    """
    query = {"only": "closed" if only_closed else None, "joined": "true" if joined else None}
    path = f"/v1/batches/{batch_id}/results"
    if form is not None:
        _save(path, form, query, output)
        return
    with (
        connect() as client,
        client.lines(path, format="jsonl", **query) as lines,
    ):
        if as_json:
            with _place(output) as file:
                _write_array(file, lines)
        elif as_jsonl or output is not None:
            with _place(output) as file:
                file.writelines(line + b"\n" for line in lines)
        elif table:
            _show_across(lines)
        else:
            _show(lines)


def _save(path: str, form: str, query: dict[str, str | None], output: Path | None) -> None:
    """Write a whole file as the API makes it; one that already is there is replaced at the end."""
    if form not in _FORMATS:
        raise Failure(f"--format: give one of {', '.join(_FORMATS)}", ExitCode.USAGE)
    if form == "parquet" and output is None and sys.stdout.isatty():
        raise Failure("Parquet is not for a terminal; name a file with -o", ExitCode.USAGE)
    with connect() as client, client.stream(path, format=form, **query) as pieces:
        if output is None:
            sys.stdout.buffer.writelines(pieces)
            sys.stdout.buffer.flush()
            return
        part = output.with_name(f"{output.name}.part")
        try:
            with part.open("wb") as file:
                file.writelines(pieces)
            part.replace(output)
        except OSError as error:
            raise Failure(f"{output} cannot be written: {error.strerror}") from None
        finally:
            part.unlink(missing_ok=True)


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


def _show_across(lines: Iterator[bytes]) -> None:
    """A compare table: a row for each prompt, a column for each variant."""
    jobs = [json.loads(line) for line in islice(lines, _ROWS_MAX)]
    labels = list(
        dict.fromkeys(
            one["label"] for job in jobs for one in job["completions"] if one["role"] == "candidate"
        )
    )
    rows = [[job["custom_id"], *(_cell(job, label) for label in labels)] for job in jobs]
    show_table(("job", *labels), rows, whole=("job",))
    if next(lines, None) is not None:
        note(f"Only the first {_ROWS_MAX}; --jsonl has them all.")


def _cell(job: dict[str, Any], label: str) -> str | None:
    found = [one for one in job["completions"] if one["label"] == label]
    if not found:
        return None
    answer, verdict = found[0], job["verdict"]
    text = short(answer["text"]) or f"({(answer['error'] or {}).get('reason', answer['state'])})"
    scores = {one["label"]: one["score"] for one in (verdict or {}).get("scores", ())}
    return f"[{scores[label]:.1f}] {text}" if label in scores else text


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
