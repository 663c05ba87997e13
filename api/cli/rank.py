"""`overnight rank`: ratings of anybody's battles, as a report has them for its own."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from api.cli.failure import ExitCode, Failure
from api.cli.output import show_json, show_table


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(rank)


def rank(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="CSV, JSONL or Parquet.")],
    *,
    resamples: Annotated[
        int,
        typer.Option(
            "--bootstrap", min=0, max=100_000, help="Resamples for a second interval, say 1000."
        ),
    ] = 0,
    seed: Annotated[int, typer.Option(min=0, help="Of the resamples.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Rate contestants from their battles: Bradley-Terry, ties as half wins.

    A row has a, b and winner (a, b, tie, or a name); battles of the same prompt, if there is
    a column prompt, are not taken to be independent.

    Example: overnight rank battles.csv --bootstrap 1000
    """
    # Heavy, and only needed here.
    from api.cli.battles import battles_in  # noqa: PLC0415
    from app.stats.battles import Battles  # noqa: PLC0415
    from app.stats.ratings import rate  # noqa: PLC0415

    battles = Battles.of(battles_in(file))
    if not len(battles):
        raise Failure(f"{file} has no battles", ExitCode.USAGE)
    found = rate(battles, resamples=resamples, seed=seed)
    rows = sorted(
        ({"rating": one.rating} | asdict(one) for one in found),
        key=lambda row: (row["group"], -row["rating"]),
    )
    places: dict[int, int] = {}
    for row in rows:
        places[row["group"]] = row["rank"] = places.get(row["group"], 0) + 1
    if as_json:
        show_json({"object": "ranking", "battles": len(battles), "ratings": rows})
    else:
        _show(rows)


def _show(rows: list[dict[str, Any]]) -> None:
    grouped = rows[-1]["group"] > 1
    columns = ["#", "name", "rating", "95 %", "wins", "battles"]
    if rows[0]["bootstrap_low"] is not None:
        columns.insert(4, "bootstrap 95 %")
    cells = [_cells(row) for row in rows]
    if grouped:
        columns.insert(0, "group")
        cells = [[row["group"], *line] for row, line in zip(rows, cells, strict=True)]
    show_table(columns, cells, right=[name for name in columns if name != "name"])
    if grouped:
        print(
            "· No battles join the groups: each has ratings on a scale of its own, and they are "
            "not comparable."
        )
    if held := [row["name"] for row in rows if row["regularised"]]:
        print(
            "· Somebody won or lost every battle, so that ratings would have no bound: those of "
            f"{', '.join(held)} are held by one more game against a player of mean strength, half "
            "won."
        )


def _cells(row: dict[str, Any]) -> list[object]:
    cells: list[object] = [row["rank"], row["name"], f"{row['rating']:.0f}"]
    cells.append(f"{row['low']:.0f}-{row['high']:.0f}")
    if row["bootstrap_low"] is not None:
        cells.append(f"{row['bootstrap_low']:.0f}-{row['bootstrap_high']:.0f}")
    return [*cells, f"{row['wins']:g}", row["battles"]]
