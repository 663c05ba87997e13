"""`overnight demo`: what Overnight does, shown in less than a minute, with nothing to set up."""

import json
import signal
import time
from collections.abc import Callable
from types import FrameType
from typing import Annotated

import typer

from api.cli.demo_local import show_local
from api.cli.demo_simulated import show_simulated
from api.cli.demo_system import Facts
from api.cli.failure import Failure

_ENDS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(demo)


def demo(
    *,
    local: Annotated[
        bool, typer.Option("--local", help="With a real, very small model on this machine.")
    ] = False,
    jobs: Annotated[
        int | None, typer.Option(min=1, help="How many prompts; by default all there are.")
    ] = None,
) -> None:
    """Show it all in a minute.

    A judged batch, from submit to leaderboard and signed webhook. The last line is JSON.

    Example: overnight demo
    """
    for number in _ENDS:
        signal.signal(number, _interrupt)
    if local:
        perform("demo_local", lambda: show_local(jobs))
    else:
        perform("demo", lambda: show_simulated(jobs))


def perform(name: str, show: Callable[[], Facts]) -> None:
    """Run a demonstration; its last line says in JSON how it went."""
    started = time.monotonic()
    try:
        facts = show()
    except KeyboardInterrupt:
        _last_line({name: "failed", "why": "interrupted"})
        raise typer.Exit(1) from None
    except Exception as error:  # noqa: BLE001 - whatever it was, the last line says so
        why = error.message if isinstance(error, Failure) else f"{type(error).__name__}: {error}"
        _last_line({name: "failed", "why": why})
        raise typer.Exit(1) from None
    _last_line({name: "ok", **facts, "seconds": round(time.monotonic() - started, 1)})


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    """Clean up and end; whoever asks again has been heard already."""
    for number in _ENDS:
        signal.signal(number, signal.SIG_IGN)
    raise KeyboardInterrupt


def _last_line(line: Facts) -> None:
    print(json.dumps(line, ensure_ascii=False), flush=True)
