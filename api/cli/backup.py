"""`overnight backup` and `overnight restore`: the store and the files, in one file."""

import sys
from contextlib import closing
from pathlib import Path
from typing import Annotated, Any

import typer

from api.cli.output import show_json

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    for command in (backup, restore):
        app.command()(command)


def backup(
    path: Annotated[Path, typer.Argument(metavar="FILE", help="Where to write it.")],
    *,
    as_json: AsJson = False,
) -> None:
    """Write a backup of the store and its files, while all goes on.

    The master key is not in it, nor are the keys of days: keep the master key somewhere else.
    Prompts and answers that are stored plain are in it as they are.

    Example: overnight backup overnight.backup
    """
    from app.db import Store  # noqa: PLC0415 - only these commands need the store
    from app.files import Files  # noqa: PLC0415
    from app.logs import configure_logging  # noqa: PLC0415
    from app.pipeline import backup as use_case  # noqa: PLC0415
    from app.settings import load_settings  # noqa: PLC0415

    settings = load_settings()
    configure_logging(settings)
    with closing(Store(settings.store_url)) as store:
        manifest = use_case.backup(store, Files(settings.files_base_url), path)
    told = {
        "path": str(path),
        "store": manifest.store,
        "made_at": manifest.made_at.isoformat(),
        "files": len(manifest.files),
        "bytes": path.stat().st_size,
        "needs_keys": list(manifest.kids),
    }
    if as_json:
        show_json(told)
        return
    print(f"{path}: {told['bytes']:,} bytes, {told['files']} files, as of {told['made_at']}")
    print("The master key is not in it, and nothing of it opens without: keep a copy elsewhere.")


def restore(
    path: Annotated[Path, typer.Argument(metavar="FILE", help="The backup.")],
    *,
    replay_deliveries: Annotated[
        bool | None,
        typer.Option(
            "--replay-deliveries/--no-replay-deliveries",
            help="Send webhooks that were under way then. Asked, if the backup is older than a day.",
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Fill an empty store from a backup, while nothing runs on it.

    Open batches go on from there: what they did after the backup was made is done, and paid,
    again. Cancel or pause those that should not.

    Example: overnight restore overnight.backup
    """
    from app.pipeline.restore import ReplayUndecidedError  # noqa: PLC0415

    try:
        told = _restored(path, replay_deliveries)
    except ReplayUndecidedError as undecided:
        if not sys.stdin.isatty():
            raise
        print(undecided.message)
        told = _restored(path, typer.confirm("Send them?", default=False))
    if as_json:
        show_json(told)
        return
    print(f"restored, as of {told['made_at']}: {told['open_batches']} batches are open")
    print(f"calls of unknown outcome, to be sent again: {told['unknown_calls']}")
    print(f"deliveries to be sent: {told['replayed_deliveries']}")


def _restored(path: Path, replay: bool | None) -> dict[str, Any]:  # noqa: FBT001 - as it was asked
    from app.logs import configure_logging  # noqa: PLC0415 - only this command needs the store
    from app.pipeline.restore import restore as use_case  # noqa: PLC0415
    from app.pipeline.services import build_services  # noqa: PLC0415
    from app.settings import load_settings  # noqa: PLC0415

    settings = load_settings()
    configure_logging(settings)
    services = build_services(settings)
    with closing(services.store):
        done = use_case(services, path, replay=replay)
    return {
        "made_at": done.manifest.made_at.isoformat(),
        "open_batches": done.open_batches,
        "unknown_calls": done.unknown_calls,
        "replayed_deliveries": done.replayed_deliveries,
    }
