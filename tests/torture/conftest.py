"""Stores, stages and whole installations, as the smaller tests have them."""

from tests.e2e.conftest import on_postgres, on_sqlite, own_valkey, system
from tests.fakes.stages import provider, receiver, stage
from tests.integration.conftest import (
    careless_sqlite,
    migrated_sqlite,
    postgres_store_url,
    reused_database,
    sqlite_store_url,
    store,
    store_url,
    stores,
)

__all__ = [
    "careless_sqlite",
    "migrated_sqlite",
    "on_postgres",
    "on_sqlite",
    "own_valkey",
    "postgres_store_url",
    "provider",
    "receiver",
    "reused_database",
    "sqlite_store_url",
    "stage",
    "store",
    "store_url",
    "stores",
    "system",
]
