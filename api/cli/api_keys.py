"""`overnight api-keys`: the account's own keys to the API."""

from typing import Annotated, Any

import typer

from api.cli.client import connect
from api.cli.output import note, show_json, show_table

group = typer.Typer(help="API keys of ours: create, list, revoke.", no_args_is_help=True)

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
_PATH = "/v1/api-keys"


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(group, name="api-keys")


@group.command("create")
def create_key(
    name: Annotated[str, typer.Argument(help="What to know it by.")],
    *,
    scope: Annotated[
        list[str] | None, typer.Option(help="submit, read or admin; may be given again.")
    ] = None,
    expires: Annotated[
        str | None, typer.Option(help="When it ends, such as 2027-01-31T00:00:00Z.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Make an API key, and show it this once.

    Example: overnight api-keys create nightly-ci --scope submit --scope read
    """
    body = {"name": name, "scopes": scope or ["submit", "read"], "expires_at": expires}
    with connect() as client:
        made = client.post(_PATH, body)
    if as_json:
        show_json(made)
        return
    print(made["secret"])
    note(f"{made['key']['id']}: keep it now; it is not shown again")


@group.command("list")
def list_keys(*, as_json: AsJson = False) -> None:
    """List API keys, newest first, those that are no longer valid among them.

    Example: overnight api-keys list
    """
    with connect() as client:
        found = list(client.pages(_PATH))
    if as_json:
        show_json(found)
    else:
        show_keys(found)


@group.command("revoke")
def revoke_key(key_id: Annotated[str, typer.Argument(help="Such as key_…")]) -> None:
    """Revoke an API key: it is refused from the next request on.

    Example: overnight api-keys revoke key_…
    """
    with connect() as client:
        client.delete(f"{_PATH}/{key_id}")
    print(f"{key_id}: revoked")


def show_keys(keys: list[dict[str, Any]]) -> None:
    """A table of keys."""
    rows = (
        (
            key["id"],
            key["name"],
            f"…{key['hint']}",
            " ".join(key["scopes"]),
            key["state"],
            key["expires_at"],
            key["last_used_at"],
        )
        for key in keys
    )
    columns = ("id", "name", "key", "scopes", "state", "expires", "last used")
    show_table(columns, rows, whole=("id",))
