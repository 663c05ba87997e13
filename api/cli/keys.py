"""`overnight keys`: the account's provider keys. A key is never an argument."""

import sys
from getpass import getpass
from typing import Annotated, Any
from urllib.parse import quote

import typer

from api.cli.client import connect
from api.cli.failure import ExitCode, Failure
from api.cli.keys_import import import_keys
from api.cli.output import show_json, show_table

group = typer.Typer(help="Provider keys: set, list, check, remove, import.", no_args_is_help=True)

Provider = Annotated[str, typer.Argument(help="Such as openai, or custom:<name>.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
_PATH = "/v1/settings/keys"


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(group, name="keys")


group.command("import")(import_keys)


@group.command("set")
def set_key(  # noqa: PLR0913 - a flag is a parameter
    provider: Provider,
    *,
    base_url: Annotated[str | None, typer.Option(help="Where a custom server is.")] = None,
    no_key: Annotated[bool, typer.Option("--no-key", help="The server asks for none.")] = False,
    rpm: Annotated[int | None, typer.Option(help="Requests per minute at most.")] = None,
    tpm: Annotated[int | None, typer.Option(help="Tokens per minute at most.")] = None,
    in_flight: Annotated[int | None, typer.Option(help="Calls at a time at most.")] = None,
    as_json: AsJson = False,
) -> None:
    """Set a provider's key, asked for or read from standard input, and its limits.

    Example: overnight keys set openai --rpm 500
    """
    body: dict[str, Any] = {}
    if base_url is not None:
        body["base_url"] = base_url
    limits = {"rpm": rpm, "tpm": tpm, "in_flight": in_flight}
    if given := {name: limit for name, limit in limits.items() if limit is not None}:
        body["limits"] = given
    if not no_key:
        body["api_key"] = read_key(provider)
    with connect() as client:
        setting = client.put(_path(provider), body)
    _show([setting], as_json=as_json, one=True)


@group.command("list")
def list_keys(*, as_json: AsJson = False) -> None:
    """List the providers that have a key, with its last characters.

    Example: overnight keys list --json
    """
    with connect() as client:
        found = list(client.get(_PATH)["data"])
    _show(found, as_json=as_json)


@group.command("check")
def check_key(provider: Provider, *, as_json: AsJson = False) -> None:
    """Ask the provider whether it accepts the key; nothing is bought.

    Example: overnight keys check anthropic
    """
    with connect() as client:
        answer = client.post(f"{_path(provider)}/check")
    if as_json:
        show_json(answer)
    elif answer["ok"]:
        print(f"{provider}: {answer['detail']}")
    if not answer["ok"]:
        raise Failure(f"{provider}: {answer['detail']}")


@group.command("remove")
def remove_key(provider: Provider) -> None:
    """Delete a provider's key; calls that wait for it fail.

    Example: overnight keys remove groq
    """
    with connect() as client:
        client.delete(_path(provider))
    print(f"{provider}: removed")


def read_key(provider: str) -> str:
    """The key: asked for without showing it, or the one line of standard input."""
    question = f"Key of {provider} (not shown): "
    key = getpass(question) if sys.stdin.isatty() else sys.stdin.read()
    if not key.strip():
        raise Failure(
            "no key was given: type it when asked, or pipe it in; --no-key if the server asks "
            "for none",
            ExitCode.USAGE,
        )
    return key.strip()


def _path(provider: str) -> str:
    return f"{_PATH}/{quote(provider, safe=':')}"


def _show(settings: list[dict[str, Any]], *, as_json: bool, one: bool = False) -> None:
    if as_json:
        show_json(settings[0] if one else settings)
        return
    rows = (
        (
            setting["provider"],
            f"…{setting['hint']}" if setting["hint"] else "none",
            setting["base_url"],
            ", ".join(f"{name} {limit}" for name, limit in setting["limits"].items() if limit),
            f"parked: {setting['parked_reason']}" if setting["parked_reason"] else setting["state"],
        )
        for setting in settings
    )
    show_table(("provider", "key", "base URL", "limits", "state"), rows)
