"""A backup is of one moment, opens clean, and is taken up again as what it is: the past."""

import os
import signal
import sqlite3
import tarfile
import threading
from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from sqlmodel import select

from app.db import Store
from app.domain.clock import utc_now
from app.domain.errors import SetupError
from app.files import Files
from app.models import Attempt, Batch, Delivery, InputFile, StoredCompletion, Worker
from app.pipeline.backup import backup
from app.pipeline.laws import check_laws
from app.pipeline.reconcile import reconcile, recover_lost_workers
from app.pipeline.restore import ReplayUndecidedError, Restored, restore
from app.pipeline.services import Services
from app.pipeline.upload import upload
from app.settings import Settings
from app.vault.master import Vault, new_fernet_key
from tests.factories.deliveries import NoQueue
from tests.fakes.crashing import DIES_WITHIN_S, FORKS
from tests.fakes.engine import Engine
from tests.integration.engine.failing import make_due
from tests.integration.engine.test_flow import QUICK
from tests.servers import PostgresServer

HOOK = {"url": "http://127.0.0.1:9/hook"}


@pytest.fixture
def engine(store: Store, tmp_path: Path) -> Engine:
    """The system that is backed up."""
    return Engine(store, tmp_path / "before", OVERNIGHT_TRUSTED_HOSTS="127.0.0.1")


@pytest.fixture
def empty(engine: Engine, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Services]:
    """Where it is restored to: a store of the same kind that was never used."""
    with_url = _sqlite_url if engine.store.is_sqlite else _postgres_url
    for url in with_url(tmp_path, request):
        settings = engine.services.settings.model_copy(
            update={"database_url": url, "data_dir": tmp_path / "after"}
        )
        services = Services(settings, Store(url), NoQueue(), engine.services.vault)
        yield services
        services.store.close()


def _sqlite_url(tmp_path: Path, _: pytest.FixtureRequest) -> Iterator[str]:
    yield f"sqlite:///{tmp_path / 'after' / 'overnight.db'}"


def _postgres_url(_: Path, request: pytest.FixtureRequest) -> Iterator[str]:
    server: PostgresServer = request.getfixturevalue("postgres")
    with server.database() as url:
        yield url


def files_of(services: Services) -> Files:
    return Files(services.settings.files_base_url)


def in_the_middle(engine: Engine) -> str:
    """A batch with calls on their way and others done, and one that is closed but not told."""
    closed = engine.submit(["done"], params=QUICK, webhook=HOOK)
    while engine.queue.hints or engine.pump_once():
        step, ids = engine.queue.hints.popleft() if engine.queue.hints else ("", ())
        if step and step != "deliver":
            engine.follow(step, ids)  # type: ignore[arg-type]
    engine.submit(["one", "two", "three"], params=QUICK)
    engine.follow(*engine.queue.hints.popleft())
    assert len(engine.claim(2)) == 2
    return closed


def restored(engine: Engine, empty: Services, tmp_path: Path, **options: object) -> Restored:
    path = tmp_path / "backup.tar.gz"
    backup(engine.store, files_of(engine.services), path)
    return restore(empty, path, **options)  # type: ignore[arg-type]


def test_s11_what_was_under_way_is_of_unknown_outcome_and_goes_on(
    engine: Engine, empty: Services, tmp_path: Path
) -> None:
    in_the_middle(engine)
    done = restored(engine, empty, tmp_path, replay=False)
    assert (done.open_batches, done.unknown_calls, done.replayed_deliveries) == (1, 2, 0)
    after = Engine(empty.store, empty.settings.data_dir, empty.vault)
    with after.store.read() as session:
        assert Counter(session.exec(select(Attempt.state)).all())["unknown"] == 2
        assert session.exec(select(Worker.id)).all() == [after.worker_id]
        assert session.exec(select(Delivery.state)).all() == ["cancelled"]
    reconcile(after.services)
    make_due(after)
    after.drain()
    with after.store.read() as session:
        assert session.exec(select(Batch.state)).all() == ["completed", "completed"]
        assert len(session.exec(select(StoredCompletion)).all()) == 4
        assert check_laws(session, after.store) == []


def test_s11_deliveries_of_a_young_backup_are_sent_for_their_receivers_know_their_ids(
    engine: Engine, empty: Services, tmp_path: Path
) -> None:
    in_the_middle(engine)
    assert restored(engine, empty, tmp_path).replayed_deliveries == 1


@pytest.mark.parametrize("replay", [True, False])
def test_s11_deliveries_of_yesterdays_backup_are_only_sent_if_the_operator_says_so(
    engine: Engine, empty: Services, tmp_path: Path, *, replay: bool
) -> None:
    in_the_middle(engine)
    later = utc_now() + timedelta(hours=25)
    with pytest.raises(ReplayUndecidedError, match="1 deliveries were under way"):
        restored(engine, empty, tmp_path, now=later)
    done = restored(engine, empty, tmp_path, now=later, replay=replay)
    assert done.replayed_deliveries == int(replay)


def test_s7_a_backup_of_a_store_that_is_written_to_is_of_one_moment(
    engine: Engine, empty: Services, tmp_path: Path
) -> None:
    stopping = threading.Event()

    def write() -> None:
        while not stopping.is_set():
            engine.submit(["one", "two"], params=QUICK)
            engine.drain()

    writer = threading.Thread(target=write)
    writer.start()
    try:
        restored(engine, empty, tmp_path)
    finally:
        stopping.set()
        writer.join()
    with empty.store.read() as session:
        assert check_laws(session, empty.store) == []


@pytest.mark.parametrize("store_url", ["sqlite"], indirect=True)
def test_s7_the_copy_of_an_sqlite_store_passes_its_own_check(
    engine: Engine, tmp_path: Path
) -> None:
    in_the_middle(engine)
    path = tmp_path / "backup.tar.gz"
    backup(engine.store, files_of(engine.services), path)
    with tarfile.open(path) as tar:
        tar.extract("store.db", tmp_path / "out", filter="data")
    with sqlite3.connect(tmp_path / "out" / "store.db") as copy:
        assert copy.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    copy.close()
    assert path.stat().st_mode & 0o077 == 0


def test_files_come_along_and_no_key_does(engine: Engine, empty: Services, tmp_path: Path) -> None:
    key = new_fernet_key()
    (tmp_path / "before").mkdir(exist_ok=True)
    (tmp_path / "before" / "byok-encryption-key").write_text(key)
    kept = upload(engine.services, engine.account_id, "in.jsonl", [b'{"prompt":"one"}\n'])
    restored(engine, empty, tmp_path)
    with empty.store.read() as session:
        assert session.exec(select(InputFile.id)).all() == [kept.id]
    assert b"".join(files_of(empty).open(kept.id)) == b'{"prompt":"one"}\n'
    with tarfile.open(tmp_path / "backup.tar.gz") as tar:
        contents = b"".join(
            content.read() for member in tar if (content := tar.extractfile(member))
        )
    assert key.encode() not in contents


def test_a_store_that_is_not_empty_is_left_alone(engine: Engine, tmp_path: Path) -> None:
    path = tmp_path / "backup.tar.gz"
    backup(engine.store, files_of(engine.services), path)
    with pytest.raises(SetupError, match=r"not empty \(account"):
        restore(engine.services, path)


def test_another_master_key_is_refused_before_anything_is_written(
    engine: Engine, empty: Services, tmp_path: Path
) -> None:
    other = Services(empty.settings, empty.store, empty.queue, Vault(new_fernet_key()))
    with pytest.raises(SetupError, match="master key of this backup"):
        restored(engine, other, tmp_path)
    assert restored(engine, empty, tmp_path).open_batches == 0


def restore_in(settings: Settings, key: str, path: Path, crash_at: str) -> None:
    """What the child does."""
    store = Store(settings.store_url, crash_at=crash_at)
    restore(Services(settings, store, NoQueue(), Vault(key)), path)


@pytest.mark.parametrize("side", ["before", "after"])
def test_q4_a_restore_that_dies_has_done_nothing_or_all_of_it(
    store: Store, tmp_path: Path, request: pytest.FixtureRequest, side: str
) -> None:
    key = new_fernet_key()
    engine = Engine(store, tmp_path / "before", Vault(key), OVERNIGHT_TRUSTED_HOSTS="127.0.0.1")
    in_the_middle(engine)
    path = tmp_path / "backup.tar.gz"
    backup(engine.store, files_of(engine.services), path)
    for url in (_sqlite_url if store.is_sqlite else _postgres_url)(tmp_path, request):
        settings = engine.services.settings.model_copy(update={"database_url": url})
        process = FORKS.Process(target=restore_in, args=(settings, key, path, f"restore.{side}"))
        process.start()
        process.join(DIES_WITHIN_S)
        assert process.exitcode == -signal.SIGKILL
        services = Services(settings, Store(url), NoQueue(), Vault(key))
        if side == "before" or store.is_sqlite:
            assert restore(services, path).unknown_calls == 2
        else:
            assert recover_lost_workers(services) == 2  # their leases were void with the rest
        with services.store.read() as session:
            assert check_laws(session, services.store) == []
        services.store.close()


@pytest.mark.parametrize("damage", ["cut", "garbled", "nothing", "another"])
def test_a_damaged_backup_is_refused_and_leaves_the_store_empty(
    engine: Engine, empty: Services, tmp_path: Path, damage: str
) -> None:
    path = tmp_path / "backup.tar.gz"
    backup(engine.store, files_of(engine.services), path)
    if damage == "cut":
        os.truncate(path, path.stat().st_size // 2)
    elif damage == "garbled":
        path.write_bytes(path.read_bytes()[:200] + b"garbage" + path.read_bytes()[207:])
    elif damage == "nothing":
        path.unlink()
    else:
        with tarfile.open(path, "w:gz") as tar:
            tar.add(__file__, "something.py")
    with pytest.raises(SetupError):
        restore(empty, path)
    backup(engine.store, files_of(engine.services), path)
    restore(empty, path)
