"""What every test may ask for: its folder decides its mark and how far it may reach."""

from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest
import structlog

from tests.servers import PostgresServer, ValkeyServer, postgres_server, valkey_server

HERE = Path(__file__).parent
FOLDERS = frozenset({"architecture", "contract", "e2e", "integration", "torture", "unit"})
ON_LOOPBACK = frozenset({"contract", "e2e", "integration", "torture"})
LOOPBACK = ["127.0.0.1", "::1", "localhost"]
#: The folders whose tests may take longer than others, and how long.
MAX_S = {"e2e": 600, "torture": 1800}

# The same examples every time: red means that the code changed. A busy machine is no failure.
hypothesis.settings.register_profile("overnight", deadline=None, derandomize=True, database=None)
hypothesis.settings.load_profile("overnight")
# Left to itself, structlog draws every exception in colour with all its locals, for seconds.
structlog.configure(
    processors=[structlog.processors.format_exc_info, structlog.processors.KeyValueRenderer()]
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark each test by its folder; only some folders may open a socket, and only to loopback."""
    for item in items:
        folder = item.path.relative_to(HERE).parts[0]
        if folder not in FOLDERS:
            raise pytest.UsageError(f"{item.path} is in none of the folders of tests")
        item.add_marker(getattr(pytest.mark, folder))
        if folder in ON_LOOPBACK:
            item.add_marker(pytest.mark.allow_hosts(LOOPBACK), append=False)
        if folder in MAX_S and item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(MAX_S[folder]))


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """Coroutines of tests run on asyncio, as ours do."""
    return "asyncio"


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """A PostgreSQL of this test process."""
    with postgres_server() as server:
        yield server


@pytest.fixture
def postgres_url(postgres: PostgresServer) -> Iterator[str]:
    """An empty PostgreSQL database of this test's own."""
    with postgres.database() as url:
        yield url


@pytest.fixture(scope="session")
def valkey() -> Iterator[ValkeyServer]:
    """A Valkey of this test process."""
    with valkey_server() as server:
        yield server


@pytest.fixture
def valkey_url(valkey: ValkeyServer) -> str:
    """A Valkey that holds nothing yet."""
    valkey.flushall()
    return valkey.url
