"""`overnight report`: the leaderboard of a batch, its costs, and what to keep in mind."""

from collections.abc import Callable, Mapping
from operator import itemgetter
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import msgspec
import typer

from api.cli.against import show_against
from api.cli.client import connect
from api.cli.failure import Failure
from api.cli.gate import passes
from api.cli.output import dollars, milliseconds, plain, show_json, show_table
from api.cli.written import fetch, put, show
from app.reports import grids
from app.reports.proof import proof_lines
from app.reports.report_views import ReportView
from app.reports.sentence import in_one_sentence

Report = dict[str, Any]
Entry = Mapping[str, Any]
_MODEL = "model"


#: What is shown below the leaderboard and the costs, where there is any of it.
_TABLES = {
    "How sure that is": grids.tests,
    "How far the judges can be trusted": grids.trust,
    "Failures by cause": grids.failures,
}


class Column(NamedTuple):
    """A column of the leaderboard, and what of an entry is in it."""

    name: str
    value: Callable[[Entry], object]


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(report)


def report(  # noqa: PLR0913 - a flag is a parameter
    batch_id: Annotated[str, typer.Argument(metavar="BATCH")],
    *,
    against: Annotated[
        str | None,
        typer.Option(
            metavar="BATCH", help="What changed since this other batch, paired by custom_id."
        ),
    ] = None,
    gate: Annotated[
        str | None,
        typer.Option(help="A condition, such as 'win_rate(a) > 0.5'; ends with 1 if it fails."),
    ] = None,
    form: Annotated[
        str | None,
        typer.Option(
            "--format", help="md, for a pull request; html, a page; csv: the leaderboard."
        ),
    ] = None,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="Write what --format names to a file.")
    ] = None,
    opened: Annotated[
        bool, typer.Option("--open", help="Make the page and open it in a browser.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show how the models of a batch did.

    A gate is of the batch itself, also with --against.

    Example: overnight report BATCH --gate 'score(new) >= 7 and failed(new) == 0';
    overnight report TONIGHT --against LAST_NIGHT --format md
    """
    path = f"/v1/batches/{batch_id}/report"
    asked = {} if against is None else {"against": against}
    form = "html" if opened else form
    with connect() as client:
        written = None if form is None else fetch(client, path, form, **asked)
        found = client.get(path, **asked) if form is None else {}
        gated = found if form is None and against is None else {}
        if gate is not None and not gated:
            gated = client.get(path)
    if written is not None:
        (show if opened else put)(written, output)
    elif as_json:
        show_json(found)
    elif against is not None:
        show_against(found)
    else:
        show_report(found)
    if gate is not None and not passes(gate, gated):
        raise Failure(f"gate: {gate} does not hold")


def show_report(report: Report, planted: Mapping[str, float] | None = None) -> None:
    """Print a report; `planted` is the truth that a simulation's scores should recover."""
    view = msgspec.convert(report, ReportView)
    print(f"{in_one_sentence(view, plain)}\n")
    show_leaderboard(report, planted)
    show_costs(report)
    for title, make in _TABLES.items():
        if grid := make(view):
            show_table(grid.head, grid.rows, title=title, right=grid.head[grid.names :])
    if view.blend is not None:
        for line in proof_lines(view.blend, plain):
            print(f"· {line}")
    for line in (*grids.trust_lines(view), *view.notes):
        print(f"· {plain(line)}")


def show_leaderboard(report: Report, planted: Mapping[str, float] | None = None) -> None:
    """Print how good and how fast each model was."""
    entries = report["leaderboard"]
    columns = []
    if any(entry["rank"] is not None for entry in entries):
        columns.append(Column("#", itemgetter("rank")))
    columns.append(Column(_MODEL, lambda entry: entry["label"]))
    if any(entry["score"] for entry in entries):
        columns += [
            Column("score", _score),
            Column("95 %", _interval),
            Column("wins", _wins),
        ]
    if any(entry.get("rating") for entry in entries):
        columns.append(Column("rating", _rating))
    if planted:
        columns.append(Column("planted", lambda entry: f"{planted[entry['label']]:.1f}"))
    columns.append(Column("answered", lambda entry: entry["answered"]))
    for name in ("refused", "failed", "missing"):
        if any(entry[name] for entry in entries):
            columns.append(Column(name, itemgetter(name)))
    columns.append(Column("p50", lambda entry: milliseconds(entry["latency_p50_ms"])))
    columns.append(Column("p95", lambda entry: milliseconds(entry["latency_p95_ms"])))
    names = [column.name for column in columns]
    rows = [[column.value(entry) for column in columns] for entry in entries]
    right = [name for name in names if name != _MODEL]
    show_table(names, rows, title="Leaderboard", right=right)


def _score(entry: Entry) -> str | None:
    mark = "*" if entry["self_judged"] else ""
    return None if entry["score"] is None else f"{entry['score']['value']:.2f}{mark}"


def _interval(entry: Entry) -> str | None:
    score = entry["score"]
    if score is None or score["low"] is None:
        return None
    return f"{score['low']:.2f}-{score['high']:.2f}"


def _rating(entry: Entry) -> str | None:
    """The rating, and how far its interval reaches."""
    rating = entry.get("rating")
    if rating is None:
        return None
    return f"{rating['value']:.0f} ± {(rating['high'] - rating['low']) / 2:.0f}"


def _wins(entry: Entry) -> str | None:
    share = entry["win_share"]
    return None if share is None else f"{100 * share['value']:.0f} %"


def show_costs(report: Report) -> None:
    """Print what each model and stage cost."""
    rows: list[tuple[str | None, ...]] = [
        (
            entry["label"],
            f"{entry['input_tokens']:,}",
            f"{entry['output_tokens']:,}",
            dollars(entry["cost_nanos"]),
            dollars(entry["cost_per_answer_nanos"]) if entry["answered"] else None,
        )
        for entry in report["leaderboard"]
    ]
    rows += [
        (f"{entry['label']} (judge)", None, None, dollars(entry["cost_nanos"]), None)
        for entry in report["judges"]
    ]
    stages = report["costs"] if len(report["costs"]) > 1 else ()
    rows += [
        (f"all {entry['stage']}", None, None, dollars(entry["cost_nanos"]), None)
        for entry in stages
    ]
    spent = report["cost"]
    rows.append(("all calls", None, None, dollars(spent["spent_nanos"]), None))
    columns = ("cost of", "tokens in", "tokens out", "cost", "per answer")
    show_table(columns, rows, title="Costs", right=columns[1:])
    if spent["possible_duplicate_nanos"]:
        print(f"· possible duplicate spend: {dollars(spent['possible_duplicate_nanos'])}")
