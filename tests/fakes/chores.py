"""What an operator and a client do beside the engine's work, broken off at any commit and done again.

An account comes, is set up, told of what it did, corrected, kept no longer than it wished, and
deleted. Whoever does it knows of it what a person would: the account's id, once it was said.
"""

from contextlib import suppress
from datetime import timedelta

from sqlmodel import col, func, select

from api.cli import accounts_store
from api.cli.failure import Failure
from api.cli.grant import adjust, grant, refund
from api.cli.rotate import rotate_keys
from app.accounts.accounts import list_accounts
from app.accounts.api_keys import Principal, Scope
from app.accounts.audit import OPERATOR
from app.accounts.privacy import Privacy
from app.db import Commit
from app.domain.errors import ConflictError, GoneError
from app.models import ApiKey, Batch, Delivery, Endpoint, Event, LedgerEntry, Purge, TextKey
from app.pipeline.accounts import note_use
from app.pipeline.api_keys import make_key, revoke_key
from app.pipeline.deliver import claim_deliveries
from app.pipeline.endpoints import (
    EndpointSetting,
    Owner,
    create_endpoint,
    delete_endpoint,
    rotate_secret,
    update_endpoint,
)
from app.pipeline.laws import check_laws
from app.pipeline.privacy import change_privacy
from app.pipeline.purge import begin_purge
from app.pipeline.reconcile import reconcile
from app.pipeline.replay import Span, replay_range
from app.pipeline.retention import acknowledge, enforce_retention
from app.pipeline.stored_files import delete_file
from app.pipeline.upload import upload
from app.vault.lanes import ensure_platform_lanes
from tests.factories.searching import tables_with
from tests.fakes.provider import FakeProvider
from tests.fakes.story import CREDIT, Stage, Teller
from tests.fakes.webhooks import FakeReceiver

#: What doing all of it passes, of what the story of the engine does not.
CHORES = (
    Commit.NEW_ACCOUNT,
    Commit.ACCOUNT_STATE,
    Commit.LIMITS,
    Commit.API_KEY,
    Commit.API_KEY_REVOKED,
    Commit.KEY_USED,
    Commit.ROTATED,
    Commit.CREDITS_ADJUSTED,
    Commit.CREDITS_REFUNDED,
    Commit.PRICES,
    Commit.FILE_EXPIRE,
    Commit.FILE_DROP,
    Commit.DELIVERY_GIVE_BACK,
    Commit.ENDPOINT,
    Commit.ENDPOINT_CHANGED,
    Commit.ENDPOINT_DELETED,
    Commit.SECRET_ROTATED,
    Commit.REPLAY,
    Commit.RECONCILED,
    Commit.ACKNOWLEDGE,
    Commit.PRIVACY,
    Commit.RETENTION,
    Commit.ERASE,
    Commit.ERASED,
    Commit.REWRAP,
    Commit.PURGE_BEGUN,
    Commit.PURGE,
    Commit.PURGE_FINISHED,
)
NAME = "chore-account"
KEPT, UNKEPT = "chore-kept", "chore-unkept"
_DAY = timedelta(days=1)


class Chores(Teller):
    """One life of whoever does them."""

    def tell(self) -> None:
        """All of it; what is done already is not done again."""
        with self.store.transaction(Commit.PLATFORM_LANES) as tx:
            ensure_platform_lanes(tx, self.services.settings)
        self.engine.account_id = self._account()
        if self._purge() is None:
            self._set_up()
            self._endpoints()
            self._work()
            self._correct()
            self._keep_no_longer()
        self._leave()

    def _account(self) -> str:
        """The account, by what was noted of it, or by its name; made if it was never there."""
        note = self.stage.directory / "account-id"
        if note.exists():
            return note.read_text()
        with self.store.read() as session:
            found = [one.id for one in list_accounts(session) if one.name == NAME]
        account_id = found[0] if found else accounts_store.create(NAME)["account_id"]
        note.write_text(account_id)
        return account_id

    def _purge(self) -> Purge | None:
        with self.store.read() as session:
            statement = select(Purge).where(Purge.account_id == self.engine.account_id)
            return session.exec(statement).one_or_none()

    def _set_up(self) -> None:
        account_id, services = self.engine.account_id, self.services
        rotate_keys()
        accounts_store.api_key(account_id, "chore-another")
        accounts_store.limit(account_id, [None, 1000, None])
        accounts_store.disable(account_id, cancel=False)
        accounts_store.enable(account_id)
        accounts_store.price(account_id, CREDIT, "1", "2")
        grant(10**9, account_id=account_id, note=None, idempotency_key="chores")
        adjust(-(10**6), account_id=account_id, note="chores", idempotency_key="chores")
        admin = Principal(account_id, OPERATOR, frozenset(Scope))
        made, _ = make_key(services, admin, "chore-passing", ["read"], None)
        note_use(self.store, made.id)
        revoke_key(services, admin, made.id)
        change_privacy(services, account_id, Privacy(retention_days=1), actor=OPERATOR)
        text = b'{"prompt":"chore-file"}\n'
        delete_file(services, account_id, upload(services, account_id, "in.jsonl", [text]).id)

    def _endpoints(self) -> None:
        """One that stays, and every other of the account's is deleted."""
        owner, services = Owner(self.engine.account_id, OPERATOR), self.services
        with self.store.read() as session:
            known = session.exec(
                select(Endpoint.id, Endpoint.name).where(
                    Endpoint.account_id == owner.account_id,
                    col(Endpoint.batch_id).is_(None),
                    col(Endpoint.deleted_at).is_(None),
                )
            ).all()
        kept = [id_ for id_, name in known if name.startswith("chore-kept")]
        passing = [id_ for id_, name in known if name == "chore-passing"]
        for name, ids in (("chore-kept", kept), ("chore-passing", passing)):
            if not ids:
                setting = EndpointSetting(url=self.stage.receiver_url, name=name)
                ids.append(create_endpoint(services, owner, setting).endpoint.id)
        update_endpoint(services, owner, kept[0], EndpointSetting(name="chore-kept anew"))
        rotate_secret(services, owner, kept[0], keep_old=True)
        delete_endpoint(services, owner, passing[0])
        self._endpoint_id = kept[0]

    def _work(self) -> None:
        """Two batches are done and told of; and told of again, by one who dies at it."""
        self._batch_ids = [self.submit(KEPT), self.submit(UNKEPT, retention="none")]
        self.finish()
        with self.store.read() as session:
            since = self.store.now(session) - _DAY
        span = Span(since, only="all")
        replay_range(self.services, self.engine.account_id, self._endpoint_id, span)
        assert claim_deliveries(self.services, 1)
        self._age({Delivery: {"due_at": -_DAY}})
        self.finish()
        with self.store.read() as session:
            assert set(session.exec(select(Delivery.state)).all()) == {"delivered"}

    def _correct(self) -> None:
        with self.store.read() as session:
            captured = session.exec(
                select(LedgerEntry.call_id)
                .where(LedgerEntry.kind == "capture")
                .order_by(col(LedgerEntry.call_id))
            ).all()
        with suppress(Failure):  # it was given back before
            refund(str(captured[0]), note="chores")

    def _keep_no_longer(self) -> None:
        kept, unkept = self._batch_ids
        self._age_keyring()
        enforce_retention(self.services)
        with suppress(ConflictError, GoneError):
            acknowledge(self.services, self.engine.account_id, unkept, actor=OPERATOR)
        self._age({Batch: {"closed_at": -2 * _DAY}}, Batch.id == kept)
        enforce_retention(self.services)

    def _age_keyring(self) -> None:
        """Let the day whose key wraps be one of three days ago."""
        keyring = self.services.vault.keyring
        with self.store.transaction() as tx:
            for row in tx.exec(select(TextKey)):
                today = keyring.days()[-1]
                if row.day == today.isoformat():
                    before = today - 3 * _DAY
                    keyring._path(today).rename(keyring._path(before))
                    row.day = before.isoformat()

    def _leave(self) -> None:
        if self._purge() is None:
            begin_purge(self.services, self.engine.account_id, actor=OPERATOR, deletes_account=True)
        reconcile(self.services)
        self.engine.drain()


def check_left(chores: Teller, provider: FakeProvider, receiver: FakeReceiver) -> None:
    """Of an account that was deleted its money is left, each movement of it once."""
    with chores.store.read() as session:
        assert check_laws(session, chores.store) == []
        purge = session.exec(select(Purge)).one()
        account_id = purge.account_id
        assert purge.finished_at is not None
        moved = session.exec(
            select(LedgerEntry.kind, func.count())
            .where(LedgerEntry.account_id == account_id)
            .group_by(col(LedgerEntry.kind))
        ).all()
        for table in (ApiKey, Batch, Endpoint, Event, Delivery, TextKey):
            assert session.exec(select(table).where(table.account_id == account_id)).all() == []
    assert dict(moved) == {
        "grant": 1, "adjustment": 1, "hold": 2, "capture": 2, "release": 2, "refund": 1,
    }  # fmt: skip
    assert len(provider.journal) >= 2
    assert len({seen.headers["webhook-id"] for seen in receiver.journal}) == 2
    assert tables_with(chores.store, "chore-") == set()
    files = chores.stage.directory / "files"
    assert [path for path in files.rglob("*") if path.is_file()] == []


def die_at_chores(stage: Stage, crash_at: str) -> None:
    """Do them in this process, which does not come to their end."""
    stage.enter(crash_at)
    Chores(stage, crash_at).tell()
