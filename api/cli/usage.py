"""`overnight usage`: what the account's calls came to."""

from datetime import timedelta
from typing import Annotated, Any

import typer

from api.cli.client import connect
from api.cli.output import console, dollars, milliseconds, show_json, show_table
from app.domain.clock import utc_now

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
_DIMENSIONS = ("day", "provider", "model", "mode", "role", "billed")


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(usage)


def usage(
    *,
    days: Annotated[int, typer.Option(min=1, max=400, help="How many, today included.")] = 30,
    by: Annotated[
        str, typer.Option(help=f"What to group by: some of {', '.join(_DIMENSIONS)}.")
    ] = "provider,model,billed",
    as_json: AsJson = False,
) -> None:
    """Show what was used: calls, errors, tokens, latencies and cost, keys and credits apart.

    Example: overnight usage --days 7 --by day,billed
    """
    end = utc_now().date()
    start = end - timedelta(days=days - 1)
    query = {"from": start.isoformat(), "to": end.isoformat(), "group_by": by}
    with connect() as client:
        found = client.get("/v1/usage", **query)
    if as_json:
        show_json(found)
        return
    shown = [name for name in _DIMENSIONS if name in found["group_by"]]
    numbers = ("calls", "failed", "tokens in", "tokens out", "p50", "p95", "cost")
    rows = [[*(one[name] for name in shown), *_numbers(one)] for one in found["data"]]
    show_table((*shown, *numbers), rows, title=f"{start} to {end} (UTC)", right=numbers)
    out = console()
    for one in found["totals"]:
        out.print(f"{one['billed']}: {one['calls']:,} calls, {_cost(one)}")
    if any(one["simulated_calls"] for one in found["totals"]):
        out.print("· Simulated models took part. What they cost is made up.")


def _numbers(one: dict[str, Any]) -> tuple[str | None, ...]:
    return (
        f"{one['calls']:,}",
        f"{one['failed']:,}",
        f"{one['input_tokens']:,}",
        f"{one['output_tokens']:,}",
        milliseconds(one["latency_p50_ms"]),
        milliseconds(one["latency_p95_ms"]),
        _cost(one),
    )


def _cost(one: dict[str, Any]) -> str:
    """Money; of calls without a known price it says so, for they are not free."""
    if one["unpriced"] == 0:
        return dollars(one["cost_nanos"])
    known = f"{dollars(one['cost_nanos'])} and " if one["cost_nanos"] else ""
    return f"{known}{one['unpriced']:,} of unknown cost"
