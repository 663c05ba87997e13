"""The servers that tests and benches run on are real, fresh, and never left behind."""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest
import redis

from tests.servers import (
    PostgresServer,
    ServerError,
    ValkeyServer,
    family_of,
    has_ended,
    postgres_server,
    valkey_server,
    wait_for,
)
from tests.servers import postgres as postgres_module

ORPHANS = """
from tests.servers import postgres_server, valkey_server
with postgres_server() as postgres, valkey_server() as valkey:
    print(postgres.pid, valkey.pid, postgres.directory, valkey.directory, flush=True)
    input()
"""


def query(url: str, statement: str) -> object:
    with psycopg.connect(url.replace("+psycopg", "")) as connection:
        answer = connection.execute(statement)
        row = answer.fetchone() if answer.description else None
        return row and row[0]


def test_a_database_starts_empty_and_takes_writes(postgres_url: str) -> None:
    query(postgres_url, "CREATE TABLE notes (text text)")
    assert query(postgres_url, "SELECT count(*) FROM notes") == 0


def test_the_role_that_tests_use_is_an_ordinary_one(postgres_url: str) -> None:
    assert (
        query(postgres_url, "SELECT rolsuper FROM pg_roles WHERE rolname = current_user") is False
    )


def test_a_copy_of_a_template_has_what_was_built_into_it_once(postgres: PostgresServer) -> None:
    built: list[str] = []

    def build(url: str) -> None:
        built.append(url)
        query(url, "CREATE TABLE words AS SELECT 'batch' AS word")

    for _ in range(2):
        with postgres.database(template=postgres.template("words", build)) as url:
            assert query(url, "SELECT word FROM words") == "batch"
            query(url, "DELETE FROM words")
    assert len(built) == 1


def test_a_dropped_database_ends_its_connections(postgres: PostgresServer) -> None:
    with postgres.database() as url:
        connection = psycopg.connect(url.replace("+psycopg", ""))
    with pytest.raises(psycopg.OperationalError):
        connection.execute("SELECT 1")


def test_only_with_fsync_a_server_is_as_careful_as_in_production(postgres: PostgresServer) -> None:
    assert query(postgres.url_for("postgres"), "SHOW fsync") == "off"
    with postgres_server(fsync=True) as careful:
        url = careful.url_for("postgres")
        assert [query(url, f"SHOW {name}") for name in ("fsync", "full_page_writes")] == ["on"] * 2


def test_committed_rows_outlive_a_killed_postgresql() -> None:
    with postgres_server() as server:
        url = server.url_for(server.create_database())
        query(url, "CREATE TABLE notes AS SELECT 1 AS note")
        family = family_of(server.pid)
        server.kill9()
        assert all(map(has_ended, family))
        server.restart()
        assert query(url, "SELECT note FROM notes") == 1


def test_postgresql_runs_where_its_user_cannot_read_the_wheel(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(postgres_module, "is_open", lambda _path: False)
    with postgres_server() as server, server.database() as url:
        assert query(url, "SELECT 1") == 1


def test_valkey_starts_without_data_and_without_a_port(valkey_url: str) -> None:
    with redis.Redis.from_url(valkey_url) as client:
        assert client.dbsize() == 0
        assert client.config_get("port") == {"port": "0"}


@pytest.mark.parametrize("unix", [True, False], ids=["unix socket", "loopback"])
def test_a_killed_valkey_comes_back_at_the_same_address_with_nothing(*, unix: bool) -> None:
    with valkey_server(unix=unix) as server, redis.Redis.from_url(server.url) as client:
        client.set("key", "value")
        server.kill9()
        with pytest.raises(redis.ConnectionError):
            client.get("key")
        server.restart()
        assert client.get("key") is None


def test_valkey_stays_in_the_folder_it_was_given(tmp_path: Path) -> None:
    with valkey_server(tmp_path) as server:
        assert server.directory == tmp_path
    assert tmp_path.is_dir()


def test_a_folder_too_deep_for_a_socket_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ServerError, match="too long"):
        ValkeyServer(tmp_path / ("deep" * 25), unix=True)


def test_a_server_that_cannot_start_says_why(tmp_path: Path) -> None:
    (tmp_path / "valkey.sock").mkdir()
    with pytest.raises(ServerError, match=r"valkey\.sock"), valkey_server(tmp_path):
        pass


def test_servers_take_their_folders_and_processes_with_them() -> None:
    with postgres_server() as postgres, valkey_server() as valkey:
        processes = [*family_of(postgres.pid), *family_of(valkey.pid)]
    assert not postgres.directory.exists()
    assert not valkey.directory.exists()
    assert all(map(has_ended, processes))


@pytest.mark.skipif(
    sys.platform != "linux", reason="only Linux tells a child of its parent's death"
)
def test_servers_die_with_a_test_run_that_is_killed() -> None:
    run = subprocess.Popen(
        [sys.executable, "-c", ORPHANS],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
    )
    with run:
        assert run.stdout is not None
        postgres, valkey, *folders = run.stdout.readline().split()
        orphans = [*family_of(int(postgres)), *family_of(int(valkey))]
        os.kill(run.pid, signal.SIGKILL)
    assert len(orphans) > 2
    assert wait_for(lambda: all(map(has_ended, orphans)))
    for folder in folders:
        shutil.rmtree(folder)
