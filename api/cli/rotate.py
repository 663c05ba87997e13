"""`overnight rotate-keys`: the master key, changed while everything runs."""

import sys
from contextlib import closing
from pathlib import Path
from typing import Annotated, Any

import typer

from api.cli.failure import ExitCode, Failure
from api.cli.output import show_json
from app.accounts.audit import OPERATOR, Action, record_action
from app.db import Commit, Store
from app.logs import configure_logging
from app.migrations import check_schema
from app.settings import Settings, load_settings
from app.vault.custody import check_vault, key_file_of, load_vault
from app.vault.rotation import Rotation, forget_old_keys, put_new_key, rotate


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command("rotate-keys")(rotate_keys)


def rotate_keys(
    *,
    new_key: Annotated[
        bool, typer.Option("--new-key", help="First put a new master key into the key file.")
    ] = False,
    forget_old: Annotated[
        bool,
        typer.Option("--forget-old", help="Then drop the others from it, unless one is in use."),
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Wrap every account's data key by the first master key.

    Work goes on meanwhile. Cut short, it goes on where it was when it is run again.

    Example: overnight rotate-keys --new-key --forget-old

    Example: overnight rotate-keys
    """
    settings = load_settings()
    configure_logging(settings)
    path = key_file_of(settings)
    if path is None and (new_key or forget_old):
        raise Failure(
            "the master key is not in a file, so it is changed where it is kept: put the new key "
            "before the old one there, restart every process, run this, and then drop the old one",
            ExitCode.USAGE,
        )
    with closing(Store(settings.store_url, crash_at=settings.crash_at)) as store:
        check_schema(store.engine)
        found = _rotated(settings, store, path if new_key else None)
        forgotten: list[str] = []
        if forget_old and path is not None:
            forgotten = forget_old_keys(store, path)
        with store.transaction(Commit.ROTATED) as tx:
            record_action(
                tx,
                Action.MASTER_KEY_ROTATED,
                actor=OPERATOR,
                account_id=None,
                subject=found.current,
                rewrapped=found.rewrapped,
                forgotten=forgotten,
            )
    told = {
        "current": found.current,
        "rewrapped": found.rewrapped,
        "left": found.left,
        "forgotten": forgotten,
    }
    if as_json:
        show_json(told)
    else:
        _show(told)


def _rotated(settings: Settings, store: Store, file: Path | None) -> Rotation:
    check_vault(store, load_vault(settings))
    if file is not None:
        put_new_key(file)
    return rotate(store, load_vault(settings), _progress)


def _progress(done: int, total: int) -> None:
    print(f"{done} of {total} data keys", file=sys.stderr)


def _show(told: dict[str, Any]) -> None:
    print(f"master key {told['current']} wraps every data key; {told['rewrapped']} were re-wrapped")
    if told["forgotten"]:
        print(f"forgotten: {', '.join(told['forgotten'])}")
    else:
        print("older master keys may be dropped now; backups from before still need them")
