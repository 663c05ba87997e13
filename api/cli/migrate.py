"""`overnight migrate`: the store's schema."""

from contextlib import closing

import typer

from app.db import Store
from app.logs import configure_logging
from app.migrations import upgrade
from app.settings import load_settings


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(migrate)


def migrate() -> None:
    """Bring the store to this version's schema.

    What a release runs before its processes start.

    Example: overnight migrate
    """
    settings = load_settings()
    configure_logging(settings)
    with closing(Store(settings.store_url)) as store:
        revision = upgrade(store.engine)
    print(f"the store is at {revision}")
