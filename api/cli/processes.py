"""The processes of a system that are others' modules: all of them with `up`, or one at a time."""

import os
import sys

import typer


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    for command in (up, worker, scheduler):
        app.command()(command)


def up() -> None:
    """Run everything on this machine.

    API, workers and scheduler, with an embedded broker unless REDIS_URL names another.

    Example: overnight up
    """
    _become("workers.up")


def worker() -> None:
    """Run one worker: it makes the calls.

    Example: overnight worker
    """
    _become("workers.worker")


def scheduler() -> None:
    """Run the scheduler: it finds what was lost.

    Example: overnight scheduler
    """
    _become("workers.scheduler")


def _become(module: str) -> None:
    """Go on as another module: the same process, so that signals reach it."""
    sys.stdout.flush()
    # -P: never a module of the folder it is started in.
    os.execv(sys.executable, [sys.executable, "-P", "-m", module])  # noqa: S606 - ourselves
