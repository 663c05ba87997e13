"""`overnight prices`: what models cost this account, where that is not what the list says."""

from typing import Annotated, Any

import typer

from api.cli.client import connect
from api.cli.failure import ExitCode, Failure
from api.cli.output import show_json, show_table

group = typer.Typer(help="Prices of the account's own: list, set, remove.", no_args_is_help=True)

Model = Annotated[str, typer.Argument(help="Such as custom:local/llama.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
_PATH = "/v1/settings/prices"


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(group, name="prices")


@group.command("list")
def list_prices(*, as_json: AsJson = False) -> None:
    """List the prices that take the place of the list's.

    Example: overnight prices list
    """
    with connect() as client:
        _show(client.get(_PATH)["data"], as_json=as_json)


@group.command("set")
def set_price(
    model: Model,
    *,
    input_usd: Annotated[str, typer.Option("--input", help="Dollars per million input tokens.")],
    output_usd: Annotated[str, typer.Option("--output", help="The same of output tokens.")],
    cache_read_usd: Annotated[
        str | None, typer.Option("--cache-read", help="The same of input read from a cache.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Set what a model costs with the account's own key, from the next batch on.

    Example: overnight prices set custom:local/llama --input 0.05 --output 0.2
    """
    price = {
        "model": model,
        "input_usd": input_usd,
        "output_usd": output_usd,
        "cache_read_usd": cache_read_usd,
    }
    _replace(model, [price], as_json=as_json)


@group.command("remove")
def remove_price(model: Model, *, as_json: AsJson = False) -> None:
    """Let a model have the list's price again.

    Example: overnight prices remove custom:local/llama
    """
    _replace(model, [], as_json=as_json)


def _replace(model: str, prices: list[dict[str, Any]], *, as_json: bool) -> None:
    with connect() as client:
        known = [one for one in client.get(_PATH)["data"] if one["billed"] == "byok"]
        kept = [
            {name: value for name, value in one.items() if name != "billed"}
            for one in known
            if one["model"] != model
        ]
        if not prices and len(kept) == len(known):
            raise Failure(f"{model} has no price of its own", ExitCode.USAGE)
        _show(client.put(_PATH, {"prices": [*kept, *prices]})["data"], as_json=as_json)


def _show(prices: list[dict[str, Any]], *, as_json: bool) -> None:
    if as_json:
        show_json(prices)
        return
    columns = ("model", "billed", "input", "cache read", "output")
    rows = (
        (one["model"], one["billed"], one["input_usd"], one["cache_read_usd"], one["output_usd"])
        for one in prices
    )
    title = "dollars per million tokens"
    show_table(columns, rows, title=title, right=("input", "cache read", "output"))
