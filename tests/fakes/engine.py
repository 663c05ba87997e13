"""The whole engine in one thread, without a broker: hints are followed until none is left.

Steps, claims and records are the product's own; only the processes, the pump's loop and the
waiting are not there, so that a flow is the same at every run.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import msgspec
from sqlmodel import col, select

from app.accounts.accounts import AccountKeys, create_account
from app.db import Store
from app.domain.ids import Prefix, new_id
from app.domain.prompt import Prompt
from app.domain.spec import BatchBody
from app.models import Account, Job, StoredText, Worker
from app.pipeline.advance import advance
from app.pipeline.backlog import due_backlog, rest
from app.pipeline.dispatch import Room, claim
from app.pipeline.finalize import finalize
from app.pipeline.lines import RawLine
from app.pipeline.outcomes import Finished, Policy
from app.pipeline.plan import plan
from app.pipeline.prepare import Prepared
from app.pipeline.purge import purge
from app.pipeline.reconcile import policy_of, reconcile
from app.pipeline.record import record
from app.pipeline.services import Services, register_simulated_prices
from app.pipeline.submit import Submission, submit
from app.queue import Step
from app.settings import Settings
from app.vault.keyring import Keyring
from app.vault.master import Vault, new_fernet_key
from app.vault.webhook_secrets import seal_webhook_secret
from app.webhooks.signing import new_secret
from tests.factories.deliveries import deliver
from workers.carrier import Carrier

_TURNS_MAX = 10_000


class ListQueue:
    """A queue that keeps hints until somebody follows them."""

    def __init__(self) -> None:
        self.hints: deque[tuple[Step, tuple[str, ...]]] = deque()

    def send(self, step: Step, *ids: str) -> None:
        """Keep a hint."""
        self.hints.append((step, ids))


Carry = Callable[[Prepared], Finished | None]


class Engine:
    """Services on a store, one account, one worker, and a way to let everything happen."""

    def __init__(
        self, store: Store, data_dir: Path, vault: Vault | None = None, **settings: object
    ) -> None:
        register_simulated_prices()
        self.queue = ListQueue()
        environment = {"OVERNIGHT_DATA_DIR": data_dir, "DATABASE_URL": str(store.url), **settings}
        self.services = Services(
            Settings.model_validate(environment),
            store,
            self.queue,
            vault or Vault(new_fernet_key(), keyring=Keyring(data_dir / "keyring")),
        )
        self.store = store
        self.policy: Policy = policy_of(self.services)
        self.account_id = self.new_account()
        self.worker_id = self.new_worker()
        self.carried: list[str] = []

    def new_account(self) -> str:
        """Another account."""
        account_id = new_id(Prefix.ACCOUNT)
        vault = self.services.vault
        wrapped, kid = vault.new_data_key(account_id)
        sealed = seal_webhook_secret(
            vault.data_key(account_id, wrapped, kid), account_id, new_secret()
        )
        with self.store.transaction() as tx:
            create_account(tx, AccountKeys(account_id, wrapped, kid, sealed), "test")
        return account_id

    def new_worker(self, lease_s: float = 600) -> str:
        """Another worker with a lease; a negative one has passed."""
        worker_id = new_id(Prefix.WORKER)
        with self.store.transaction() as tx:
            tx.execute(
                self.store.sql(
                    "INSERT INTO worker (id, host, pid, version, started_at, lease_until, writer_lag_ms) "
                    "VALUES (:id, 'test', 1, '0', {now}, {after_ms(:ms)}, 0)"
                ),
                {"id": worker_id, "ms": round(lease_s * 1000)},
            )
        return worker_id

    def submit(self, prompts: Sequence[str], **body: object) -> str:
        """Submit a batch of prompts; answers its id."""
        lines = [
            RawLine(f"jobs[{n}]", b'{"custom_id":"c%d","prompt":"%s"}' % (n, prompt.encode()))
            for n, prompt in enumerate(prompts)
        ]
        given = {"mode": "compare", "models": ["simulated/gold"], **body}
        spec = BatchBody.model_validate_json(msgspec.json.encode(given))
        return submit(self.services, Submission(self.account_id, spec, lines)).batch_id

    def prompts_of(self, batch_id: str) -> list[str]:
        """What each job of a batch asks, in order."""
        with self.store.read() as session:
            bodies = session.exec(
                select(StoredText.body)
                .join(Job, col(Job.id) == StoredText.owner_id)
                .where(Job.batch_id == batch_id, StoredText.kind == "prompt")
                .order_by(col(Job.id))
            ).all()
        return [msgspec.json.decode(body, type=Prompt).messages[-1].text for body in bodies]

    def drain(self, carry: Carry | None = None) -> None:
        """Follow every hint, and send every due call, until nothing is left to do."""
        for _ in range(_TURNS_MAX):
            if self.queue.hints:
                self.follow(*self.queue.hints.popleft())
            elif not self.pump_once(carry) and not self.queue.hints:
                return
        raise AssertionError("the engine does not come to rest")

    def follow(self, step: Step, ids: tuple[str, ...]) -> None:
        """Follow one hint."""
        match step:
            case Step.PLAN:
                plan(self.services, *ids)
            case Step.ADVANCE | Step.JUDGE | Step.BLEND:
                advance(self.services, ids[0], ids[1:])
            case Step.FINALIZE:
                finalize(self.services, *ids)
            case Step.DELIVER:
                deliver(self.services)
            case Step.PURGE:
                purge(self.services, *ids)
            case Step.RECONCILE:
                reconcile(self.services)
            case Step.DISPATCH:
                pass

    def claim(self, wanted: int = 16) -> list[Prepared]:
        """Claim what is due, of the first entry that has something."""
        for entry in due_backlog(self.store):
            got = claim(self.services, self.worker_id, entry, wanted)
            if got.short is Room.EXHAUSTED:
                rest(self.store, entry)
            if got.calls:
                return list(got.calls)
        return []

    def pump_once(self, carry: Carry | None = None, wanted: int = 16) -> bool:
        """Claim, send and record once; answers whether there was anything."""
        calls = self.claim(wanted)
        if not calls:
            return False
        self.carried += [one.call.id for one in calls]
        if carry is None:
            finished = self.carry_all(calls)
        else:
            finished = [one for one in map(carry, calls) if one is not None]
        if finished:
            record(self.services, finished)
        return True

    def carry_all(self, calls: Sequence[Prepared]) -> list[Finished]:
        """Send calls as the pump would."""

        async def together() -> list[Finished]:
            with ThreadPoolExecutor(1) as executor:
                carrier = Carrier(self.services, self.policy, executor)
                try:
                    pairs = await asyncio.gather(*map(carrier.carry, calls))
                finally:
                    await carrier.close()
            return [finished for finished, _ in pairs]

        return asyncio.run(together())

    def lose_worker(self) -> None:
        """The worker dies: its lease passes, and a new one takes its place."""
        with self.store.transaction() as tx:
            for worker in tx.exec(select(Worker).where(Worker.id == self.worker_id)):
                worker.lease_until = worker.started_at
        self.worker_id = self.new_worker()

    def account(self) -> Account:
        """The account as it is now."""
        with self.store.read() as session:
            return session.get_one(Account, self.account_id)


@contextmanager
def engine_on(url: str, data_dir: Path, **settings: object) -> Iterator[Engine]:
    """An engine on a migrated store, closed afterwards."""
    store = Store(url)
    try:
        yield Engine(store, data_dir, **settings)
    finally:
        store.close()
