"""`overnight keys import`: many provider keys at once, from a file or standard input."""

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from api.cli.client import Client, connect
from api.cli.dotenv import Found, read_keys
from api.cli.failure import ExitCode, Failure
from api.cli.inputs import STDIN
from api.cli.output import note, show_json

_PATH = "/v1/settings/keys"
Source = Annotated[
    str, typer.Argument(metavar="[FILE]", help="Such as .env; `-` is standard input.")
]


def import_keys(
    source: Source = STDIN,
    *,
    check: Annotated[
        bool, typer.Option("--check", help="Ask each provider whether it takes its key.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say which would be set, and set none.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Set the keys of many providers, from lines such as OPENAI_API_KEY=….

    A name is <PROVIDER>_API_KEY, or what the vendor's own client reads. Limits and base URLs that
    were set before stay as they are. Ends with 1 if a key was not taken.

    Example: overnight keys import .env --check
    """
    lines = _lines_of(source)
    with connect() as client:
        providers = [one["provider"] for one in client.get("/v1/models")["providers"]]
        found = read_keys(lines, providers)
        if not found.keys:
            raise Failure(f"{_name_of(source)} has no provider's key{_hint(found)}", ExitCode.USAGE)
        done = [] if dry_run else _set_all(client, found, check=check)
    for name in found.unknown:
        note(f"{name} is left out: it is no provider's that is known")
    if dry_run:
        _show(
            [{"provider": one, "ok": None, "detail": "would be set"} for one in found.keys],
            as_json=as_json,
        )
        return
    _show(done, as_json=as_json)
    if failed := [one["provider"] for one in done if not one["ok"]]:
        raise Failure(f"not taken: {', '.join(failed)}")


def _set_all(client: Client, found: Found, *, check: bool) -> list[dict[str, Any]]:
    """Set each, whatever became of the others; what was said of each."""
    before = {one["provider"]: one for one in client.get(_PATH)["data"]}
    done = []
    for provider, secret in found.keys.items():
        body: dict[str, Any] = {"api_key": secret.reveal()} | _kept(before.get(provider))
        try:
            setting = client.put(f"{_PATH}/{provider}", body)
            said = (
                client.post(f"{_PATH}/{provider}/check") if check else {"ok": True, "detail": None}
            )
        except Failure as failure:
            if failure.code in {ExitCode.UNREACHABLE, ExitCode.REFUSED}:
                raise
            done.append({"provider": provider, "ok": False, "detail": failure.message})
        else:
            detail = said["detail"] or f"set, …{setting['hint']}"
            done.append({"provider": provider, "ok": said["ok"], "detail": detail})
    return done


def _kept(setting: dict[str, Any] | None) -> dict[str, Any]:
    """What a provider's setting has beside its key: a new key is no reason to lose it."""
    if setting is None:
        return {}
    limits = {name: limit for name, limit in setting["limits"].items() if limit is not None}
    kept = {"base_url": setting["base_url"], "limits": limits or None}
    return {name: value for name, value in kept.items() if value is not None}


def _lines_of(source: str) -> list[str]:
    try:
        text = sys.stdin.read() if source == STDIN else Path(source).read_text()
    except OSError as error:
        raise Failure(f"{source} cannot be read: {error.strerror}", ExitCode.USAGE) from None
    except UnicodeDecodeError:
        raise Failure(f"{_name_of(source)} is not UTF-8", ExitCode.USAGE) from None
    return text.splitlines()


def _name_of(source: str) -> str:
    return "standard input" if source == STDIN else source


def _hint(found: Found) -> str:
    return f" ({', '.join(found.unknown)}: not known)" if found.unknown else ""


def _show(done: list[dict[str, Any]], *, as_json: bool) -> None:
    if as_json:
        show_json(done)
        return
    for one in done:
        mark = "!" if one["ok"] is False else "·"
        print(f"{mark} {one['provider']}: {one['detail']}")
