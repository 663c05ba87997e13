"""Every command there is, and how one ends."""

import sys
from importlib.metadata import version
from typing import Annotated

import typer

from api.cli import (
    batches,
    credits,
    demo,
    doctor,
    keys,
    processes,
    report,
    results,
    submit,
    watch,
)
from api.cli.failure import ExitCode, Failure
from app.domain.errors import AppError

EXIT_CODES = """
Exit codes: 0 done; 1 failed, or the batch did not complete; 2 the command line or its input is
wrong; 3 nothing answers where the API should be; 4 the API key was refused.
"""

app = typer.Typer(
    name="overnight",
    help="A self-hosted job queue for multi-model LLM evaluation.",
    epilog=EXIT_CODES,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for part in (processes, submit, watch, batches, results, report, doctor, demo):
    part.add_to(app)
app.add_typer(keys.app, name="keys")
app.add_typer(credits.app, name="credits")


def _show_version(wanted: bool) -> None:  # noqa: FBT001 - an option's callback
    if wanted:
        print(f"overnight {version('overnight')}")
        raise typer.Exit


@app.callback()
def overnight(
    *,
    show_version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_show_version, is_eager=True, help="Say which version this is."
        ),
    ] = False,
) -> None:
    """A self-hosted job queue for multi-model LLM evaluation."""


def run() -> int:
    """Run the command that was asked for; its exit code."""
    try:
        app()
    except Failure as failure:
        _complain(failure.message)
        return failure.code
    except AppError as error:
        _complain(error.message)
        return ExitCode.FAILED
    except SystemExit as ending:  # how typer ends a command that went well, or was used wrongly
        return ending.code if isinstance(ending.code, int) else ExitCode.FAILED
    return ExitCode.DONE


def _complain(message: str) -> None:
    print(f"overnight: {message}", file=sys.stderr)
