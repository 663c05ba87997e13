"""`overnight estimate`: what a submission would come to, before it is one."""

from typing import Any

import typer

from api.cli.client import SUBMIT_TIMEOUT_S, connect
from api.cli.failure import ExitCode
from api.cli.flags import Flags, takes_flags
from api.cli.output import console, dollars, show_json, show_table
from api.cli.submit import Prompts, Source, make_body

_MINUTES = 60


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(estimate)


@takes_flags
def estimate(
    source: Source = None,
    *,
    prompt: Prompts = None,
    flags: Flags,
    as_json: bool = typer.Option(False, "--json", help="Print JSON."),  # noqa: FBT003
) -> None:
    """Say what a batch would come to, and submit nothing.

    Takes what `submit` takes. Ends with 1 if it finds a problem.

    Example: overnight estimate sweep.yaml --budget 5
    """
    with connect() as client:
        body = make_body(client, source, prompt or [], flags)
        found = client.post("/v1/batches/estimate", body, timeout=SUBMIT_TIMEOUT_S)
    if as_json:
        show_json(found)
    else:
        _show(found)
    if found["problems"]:
        raise typer.Exit(ExitCode.FAILED)


def _show(found: dict[str, Any]) -> None:
    rows = [
        (
            one["model"],
            one["role"],
            f"{one['calls']:,}",
            _about(one["input_tokens"]),
            _about(one["output_tokens"]),
            "unknown" if one["cost_nanos"] is None else dollars(one["cost_nanos"]["expected"]),
        )
        for one in found["models"]
    ]
    columns = ("model", "as", "calls", "tokens in", "tokens out", "cost")
    show_table(columns, rows, title="Estimate", right=columns[2:])
    out, cost = console(), found["cost_nanos"]
    least = "" if found["cost_is_complete"] else "at least "
    out.print(
        f"{found['jobs']:,} jobs, {found['calls']:,} calls (at most {found['calls_max']:,}); "
        f"{least}{dollars(cost['expected'])}, from {dollars(cost['low'])} to {dollars(cost['high'])}; "
        f"{_time(found['hours'])} at the limits of {found['slowest']}"
    )
    if cached := sum(one.get("cached", 0) for one in found["models"]):
        out.print(f"· {cached:,} calls take an answer that is there already, at no cost")
    if sample := found.get("sample"):
        out.print(
            f"· the sample: {sample['jobs']:,} jobs, {sample['calls']:,} calls, "
            f"{dollars(sample['cost_nanos']['expected'])}; the rest after `overnight resume`"
        )
    for note in found["notes"]:
        out.print(f"· {note}")
    for problem in found["problems"]:
        out.print(f"! {problem['message']}")


def _about(tokens: dict[str, int]) -> str:
    return f"{tokens['expected']:,}"


def _time(hours: float) -> str:
    if hours >= 1:
        return f"{hours:.1f} h"
    minutes = hours * _MINUTES
    return f"{minutes:.0f} min" if minutes >= 1 else "under a minute"
