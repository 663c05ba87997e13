"""`overnight report`: the leaderboard of a batch, its costs, and what to keep in mind."""

from collections.abc import Mapping
from typing import Annotated, Any

import typer

from api.cli.client import connect
from api.cli.output import dollars, milliseconds, show_json, show_table

Report = dict[str, Any]


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(report)


def report(
    batch_id: Annotated[str, typer.Argument(metavar="BATCH")],
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show how the models of a batch did."""
    with connect() as client:
        found = client.get(f"/v1/batches/{batch_id}/report")
    if as_json:
        show_json(found)
    else:
        show_report(found)


def show_report(report: Report, planted: Mapping[str, float] | None = None) -> None:
    """Print a report; `planted` is the truth that a simulation's scores should recover."""
    show_leaderboard(report, planted)
    show_costs(report)
    for note in report["notes"]:
        print(f"· {note}")


def show_leaderboard(report: Report, planted: Mapping[str, float] | None = None) -> None:
    """Print how good and how fast each model was."""
    is_judged = report["mode"] == "judge"
    columns = ["#", "model", "answered", "failed", "missing"]
    judged = ["score", "95 %", "wins"] if is_judged else []
    truth = ["planted"] if planted else []
    rows = []
    for entry in report["leaderboard"]:
        row = [entry["rank"], entry["label"], entry["answered"], entry["failed"], entry["missing"]]
        row += _scores(entry) if is_judged else []
        row += [f"{planted[entry['label']]:.1f}"] if planted else []
        row += [milliseconds(entry["latency_p50_ms"]), milliseconds(entry["latency_p95_ms"])]
        rows.append(row)
    columns = [*columns, *judged, *truth, "p50", "p95"]
    show_table(
        columns, rows, title="Leaderboard", right=[name for name in columns if name != "model"]
    )


def _scores(entry: Mapping[str, Any]) -> list[str | None]:
    score, wins = entry["score"], entry["win_share"]
    if score is None:
        return [None, None, None]
    interval = None if score["low"] is None else f"{score['low']:.2f} to {score['high']:.2f}"
    mark = "*" if entry["self_judged"] else ""
    return [f"{score['value']:.2f}{mark}", interval, _percent(wins)]


def _percent(share: Mapping[str, Any] | None) -> str | None:
    return None if share is None else f"{100 * share['value']:.0f} %"


def show_costs(report: Report) -> None:
    """Print what each model and stage cost."""
    rows: list[tuple[str | None, ...]] = [
        (
            entry["label"],
            f"{entry['input_tokens']:,}",
            f"{entry['output_tokens']:,}",
            dollars(entry["cost_nanos"]),
            dollars(entry["cost_per_answer_nanos"]),
        )
        for entry in report["leaderboard"]
    ]
    rows += [
        (f"{entry['label']} (judge)", None, None, dollars(entry["cost_nanos"]), None)
        for entry in report["judges"]
    ]
    spent = report["cost"]
    rows.append(("all calls", None, None, dollars(spent["spent_nanos"]), None))
    columns = ("cost of", "tokens in", "tokens out", "cost", "per answer")
    show_table(columns, rows, title="Costs", right=columns[1:])
    if spent["possible_duplicate_nanos"]:
        print(f"· possible duplicate spend: {dollars(spent['possible_duplicate_nanos'])}")
