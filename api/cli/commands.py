"""Every command there is, and how one ends.

Only the module of the command that was asked for is imported, so that each starts quickly.
"""

import sys
from collections.abc import Sequence
from importlib import import_module
from importlib.metadata import version
from typing import Annotated

import typer

from api.cli.failure import ExitCode, Failure
from app.domain.errors import AppError

#: Which module has a command; in the order of `--help`.
MODULES = {
    "up": "processes",
    "demo": "demo",
    "doctor": "doctor",
    "keys": "keys",
    "models": "models",
    "estimate": "estimate",
    "submit": "submit",
    "watch": "watch",
    "batches": "batches",
    "cancel": "batches",
    "retry": "batches",
    "pause": "batches",
    "resume": "batches",
    "results": "results",
    "report": "report",
    "export": "export",
    "rank": "rank",
    "usage": "usage",
    "credits": "credits",
    "prices": "prices",
    "api-keys": "api_keys",
    "accounts": "accounts",
    "api": "serve",
    "worker": "processes",
    "scheduler": "processes",
    "migrate": "migrate",
    "rotate-keys": "rotate",
    "backup": "backup",
    "restore": "backup",
}
EXIT_CODES = (
    "Exit codes: 0 done; 1 failed; 2 the command line or its input is wrong; 3 nothing answers "
    "where the API should be; 4 the API key was refused; of a batch that was watched: 5 some jobs "
    "failed, 6 it expired, 7 it was cancelled. docs/cli.md has more."
)


def make_app(arguments: Sequence[str]) -> typer.Typer:
    """The command line, with as many of its commands as these arguments may ask for."""
    app = typer.Typer(
        name="overnight",
        help=overnight.__doc__,
        epilog=EXIT_CODES,
        no_args_is_help=True,
        add_completion=True,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback()(overnight)
    asked = MODULES.get(arguments[0]) if arguments else None
    for name in dict.fromkeys(MODULES.values()) if asked is None else (asked,):
        import_module(f"api.cli.{name}").add_to(app)
    return app


def _show_version(wanted: bool) -> None:  # noqa: FBT001 - an option's callback
    if wanted:
        print(f"overnight {version('overnight')}")
        raise typer.Exit


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


def run(arguments: Sequence[str]) -> int:
    """Run the command that was asked for; its exit code."""
    try:
        make_app(arguments)(args=list(arguments), prog_name="overnight")
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
