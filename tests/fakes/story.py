"""A story that passes every commit of the product, and can be told again from its beginning.

Whoever tells it is a client that tries again what it got no answer to, with the same keys, and a
process that may die beside any commit. The provider and the receiver live elsewhere, and keep
their own journals.
"""

import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
from sqlmodel import col, select

from api.cli.grant import grant
from app.db import Commit, Store
from app.domain.errors import ConflictError
from app.domain.secret import Secret
from app.domain.spec import BatchBody
from app.models import Backlog, Batch, Call, Delivery, IdempotencyKey, Lane, ProviderKey, Worker
from app.pipeline.accounts import admit, ensure_local_account
from app.pipeline.backlog import due_backlog, note_wait
from app.pipeline.control import cancel, pause, resume
from app.pipeline.keys import delete_key, set_key
from app.pipeline.lines import RawLine
from app.pipeline.park import park_lane
from app.pipeline.reconcile import reconcile
from app.pipeline.retry import retry
from app.pipeline.stored_files import stored_lines
from app.pipeline.submit import Submission, submit
from app.pipeline.upload import upload
from app.queue import Step
from app.vault.keyring import Keyring
from app.vault.lanes import ensure_platform_lanes
from app.vault.master import Vault
from app.vault.provider_keys import KeySetting
from app.vault.rotation import rotate
from tests.fakes.engine import Engine
from workers.lease import Lease

#: Which states each batch may close in, by the idempotency key that it was submitted with.
ENDS = {
    "chat": {"completed"},
    "judge": {"completed"},
    "mesh": {"completed"},
    "cancelled": {"cancelled"},
    "late": {"expired"},
    "poor": {"completed", "failed"},
    "parked": {"completed", "failed"},
    "again": {"completed", "failed"},
}
#: What the story passes: every commit of the engine's. The others are in `tests.fakes.chores`.
PASSED = (
    Commit.ACCOUNT,
    Commit.PLATFORM_LANES,
    Commit.PROVIDER_KEY,
    Commit.PROVIDER_KEY_DELETED,
    Commit.ROTATE,
    Commit.GRANT,
    Commit.UPLOAD,
    Commit.SUBMIT,
    Commit.CANCEL,
    Commit.PAUSE,
    Commit.RESUME,
    Commit.PLAN,
    Commit.CLAIM,
    Commit.BUDGET,
    Commit.REST,
    Commit.WAIT,
    Commit.PARK,
    Commit.RECORD,
    Commit.ADVANCE,
    Commit.FINALIZE,
    Commit.CLOSE,
    Commit.DELIVERY_CLAIM,
    Commit.DELIVERY_RECORD,
    Commit.LEASE,
    Commit.RENEW,
    Commit.LEASE_END,
    Commit.WORKER_FORGOTTEN,
    Commit.EXPIRE,
    Commit.CLOSE_OPEN,
    Commit.CLOSE_WAITING,
    Commit.FORGET_KEYS,
)
CREDIT = "openai/gpt-4o-mini"
OWN = "custom:own/one"
PARKED = "custom:parked"
_DAY = timedelta(days=1)


@dataclass(frozen=True)
class Stage:
    """Where the story plays."""

    store_url: str
    directory: Path
    master_key: str
    provider_url: str
    receiver_url: str

    @property
    def environment(self) -> dict[str, str]:
        """What the processes of this place are started with."""
        return {
            "DATABASE_URL": self.store_url,
            "OVERNIGHT_DATA_DIR": str(self.directory),
            "OVERNIGHT_TRUSTED_HOSTS": "127.0.0.1",
            "OVERNIGHT_PLATFORM_OPENAI_API_KEY": "sk-made-up-platform-key",
            "OVERNIGHT_PLATFORM_OPENAI_BASE_URL": self.provider_url,
            "BYOK_ENCRYPTION_KEY": self.master_key,
        }

    def enter(self, crash_at: str) -> None:
        """Make this process one of the place's, that dies at its moment."""
        os.environ.update(self.environment, OVERNIGHT_CRASH_AT=crash_at)


def die(stage: Stage, crash_at: str) -> None:
    """Tell the story in this process, which does not come to its end."""
    stage.enter(crash_at)
    Teller(stage, crash_at).tell()


class Teller:
    """One life of the process."""

    def __init__(self, stage: Stage, crash_at: str | None = None) -> None:
        self.stage = stage
        self.store = Store(stage.store_url, crash_at=crash_at)
        local = ensure_local_account(self.store, Vault(stage.master_key), stage.directory)
        vault = Vault(stage.master_key, keyring=Keyring(stage.directory / "keyring"))
        self.engine = Engine(self.store, stage.directory, vault, **stage.environment)
        self.engine.account_id = local.account_id
        self.services = self.engine.services

    def tell(self) -> None:
        """All of it."""
        with self.store.transaction(Commit.PLATFORM_LANES) as tx:
            ensure_platform_lanes(tx, self.services.settings)
        admit(self.store, f"Bearer {(self.stage.directory / 'api-key').read_text().strip()}")
        grant(10**9, account_id=self.engine.account_id, note=None, idempotency_key="grant")
        for provider in ("custom:own", PARKED):
            key = Secret("sk-made-up-own-key")
            setting = KeySetting(provider, key, self.stage.provider_url)
            set_key(self.services, self.engine.account_id, setting)
        first, second = self.stage.master_key.split(",")
        rotate(self.store, Vault(f"{second},{first}"))
        self._lease()
        self._submit_all()
        self._lose_a_worker()
        self.finish()
        failed = self.submit("poor")
        retry(self.services, self.engine.account_id, failed, "again")
        self.finish()

    def finish(self) -> None:
        """Let everything happen, and every wait be over, until nothing is open."""
        for _ in range(20):
            self.engine.drain()
            reconcile(self.services)
            self.engine.drain()
            if not self._is_open():
                return
            self._pass_time()
        raise AssertionError("the story does not come to rest")

    def _is_open(self) -> bool:
        with self.store.read() as session:
            batch = select(Batch.id).where(col(Batch.closed_at).is_(None))
            delivery = select(Delivery.id).where(col(Delivery.closed_at).is_(None))
            return any(session.exec(one).first() is not None for one in (batch, delivery))

    def submit(self, key: str, **body: Any) -> str:
        """A client's submission, which is the same however often it is made; the batch's id."""
        given = {
            "mode": "chat",
            "models": [CREDIT],
            "params": {"max_tokens": 50},
            "webhook": {"url": self.stage.receiver_url},
            **body,
        }
        spec = BatchBody.model_validate_json(msgspec.json.encode(given))
        if spec.input_file_id is None:
            lines = iter([RawLine("jobs[0]", b'{"prompt":"%s 0"}' % key.encode())])
        else:
            lines = stored_lines(
                self.services, self.engine.account_id, spec.input_file_id, templated=False
            )
        made = submit(self.services, Submission(self.engine.account_id, spec, lines, key, key))
        return made.batch_id

    def _submit_all(self) -> None:
        services, account_id = self.services, self.engine.account_id
        text = b"".join(b'{"prompt":"chat %d"}\n' % n for n in range(3))
        file_id = upload(services, account_id, "in.jsonl", [text]).id
        chat = self.submit("chat", input_file_id=file_id)
        judge = {"judges": [OWN], "criteria": ["correct"]}
        self.submit("judge", mode="judge", models=[CREDIT, "custom:own/two"], judge=judge)
        self.submit("mesh", mode="mesh", models=[OWN], mesh={"fallback": [CREDIT]})
        self.submit("poor", budget_usd=0.000001)
        late = self.submit("late", models=[OWN], deadline="1m")
        cancelled = self.submit("cancelled", models=[OWN])
        parked = self.submit("parked", models=[f"{PARKED}/one"])
        with suppress(ConflictError):  # told again, it may be closed already
            pause(services, account_id, chat)
            resume(services, account_id, chat)
        self._plan(cancelled)
        with suppress(ConflictError):
            cancel(services, account_id, cancelled)
        self._plan(parked)
        self._park()
        self._age({Batch: {"deadline": -_DAY}}, Batch.id == late)

    def _plan(self, batch_id: str) -> None:
        self.engine.follow(Step.PLAN, (batch_id,))
        for entry in due_backlog(self.store):
            note_wait(self.store, entry, None)

    def _park(self) -> None:
        """The key is refused, and then deleted."""
        with self.store.read() as session:
            statement = select(Lane.id, ProviderKey.id).join(
                ProviderKey, col(ProviderKey.lane_id) == Lane.id
            )
            lane_id, key_id = session.exec(statement.where(Lane.provider == PARKED)).one()
        park_lane(self.services, lane_id, key_id, "refused")
        delete_key(self.services, self.engine.account_id, PARKED)

    def _lease(self) -> None:
        lease = Lease(self.store, 20)
        lease._register()
        lease.renew()
        lease.stop()

    def _lose_a_worker(self) -> None:
        """It dies with calls on their way; and somebody's idempotency key grows old."""
        self.engine.drain(carry=lambda _: None)
        self.engine.lose_worker()
        with self.store.transaction() as tx:
            old = tx.get(IdempotencyKey, (self.engine.account_id, "old"))
            known = tx.get_one(IdempotencyKey, (self.engine.account_id, "mesh"))
            if old is None:
                values = {"key": "old", "created_at": known.created_at - 8 * _DAY}
                tx.add(IdempotencyKey.model_validate(known.model_dump() | values))

    def _pass_time(self) -> None:
        for model in (Call, Backlog, Delivery):
            self._age({model: {"due_at": -_DAY}})

    def _age(self, shifts: Mapping[type[Any], Mapping[str, timedelta]], *where: Any) -> None:
        with self.store.transaction() as tx:
            for model, columns in shifts.items():
                for row in tx.exec(select(model).where(*where)):
                    for name, shift in columns.items():
                        setattr(row, name, getattr(row, name) + shift)

    def bury(self) -> None:
        """The workers of earlier lives are gone: their leases have passed."""
        with self.store.transaction() as tx:
            for worker in tx.exec(select(Worker).where(Worker.id != self.engine.worker_id)):
                worker.lease_until = worker.started_at - _DAY
