"""`overnight models`: what can be called now, with its price, and why the rest can't."""

from typing import Annotated, Any

import typer

from api.cli.client import connect
from api.cli.output import note, show_json, show_table

_KEYS = {"byok": "yours", "credits": "credits", "none": "none needed"}


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(models)


def models(
    search: Annotated[
        str | None, typer.Argument(help="Only names that hold this, such as gpt-5 or groq/.")
    ] = None,
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List the models that can be called now, and why other providers' cannot.

    Prices are dollars per million tokens. A model that is not listed can be asked, too, where the
    provider has a key.

    Example: overnight models claude
    """
    with connect() as client:
        found = client.get("/v1/models")
    wanted = (search or "").lower()
    offered = [one for one in found["data"] if wanted in one["model"].lower()]
    if as_json:
        show_json(found | {"data": offered})
        return
    columns = ("model", "context", "in", "cached", "out", "key")
    show_table(columns, map(_row, offered), right=columns[1:5], whole=("model",))
    told = [one for one in found["providers"] if one["reason"] is not None]
    meant = [one for one in told if wanted in f"{one['provider']}/"]
    _explain(meant or ([] if offered else told))


def _explain(providers: list[dict[str, Any]]) -> None:
    """Why the models of providers cannot be called, or what to know of them."""
    keyless = [one["provider"] for one in providers if one["key"] is None and one["state"] is None]
    for one in providers:
        if one["provider"] not in keyless:
            note(f"{one['provider']}: {one['reason']}")
    if keyless:
        note(f"no key for {', '.join(keyless)}: `overnight keys set {keyless[0]}`")


def _row(one: dict[str, Any]) -> tuple[object, ...]:
    price, context = one["price"] or {}, one.get("context_tokens")
    return (
        one["model"],
        None if context is None else f"{context:,}",
        *(_dollars(price.get(name)) for name in ("input_usd", "cache_read_usd", "output_usd")),
        f"{one['via']}'s" if one["via"] else _KEYS[one["key"]],
    )


def _dollars(amount: str | None) -> str | None:
    return None if amount is None else f"${amount}"
