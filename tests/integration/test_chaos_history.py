"""What `make chaos` looks for in a history it finds: each of its numbers is shown to be able to be wrong."""

from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest
from sqlalchemy import delete
from sqlmodel import col, select

from app.db import Store
from app.domain.ids import Prefix, new_id
from app.models import Attempt, Call, Event, LedgerEntry, StoredText
from tests.chaos.history import RECOVERY_MAX_S, Loss, Losses, Verdict, judge
from tests.chaos.provider import Answer, Journal
from tests.fakes.engine import Engine
from tests.integration.api.conftest import on_sqlite
from tests.integration.engine.test_flow import QUICK

JOBS = 3


class Run:
    """A run without chaos, that can be told to have had some."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.batch_id = engine.submit(["one", "two", "three"], params=QUICK)
        engine.drain()
        self.load = SimpleNamespace(
            accepted={self.batch_id: JOBS}, statuses=Counter[int](), problems=list[str]()
        )
        self.provider = SimpleNamespace(history=Journal())
        with engine.store.read() as session:
            self.taken = Counter(session.exec(select(Event.id)).all())
        self.losses = Losses([])

    def verdict(self) -> Verdict:
        """What comes of it."""
        receiver = SimpleNamespace(taken=self.taken)
        parts = (self.provider, receiver)
        return judge(self.engine.store, self.load, parts, self.losses)  # type: ignore[arg-type]

    def attempt(self, **changes: object) -> None:
        """One more attempt of some call."""
        with self.engine.store.transaction() as tx:
            known = tx.exec(select(Attempt).order_by(col(Attempt.call_id))).first()
            assert known is not None
            tx.add(Attempt.model_validate(known.model_dump() | {"epoch": 99} | changes))


@pytest.fixture
def run(store: Store, tmp_path: Path) -> Run:
    return Run(Engine(store, tmp_path))


def lose_a_job(run: Run) -> None:
    run.load.accepted[run.batch_id] += 1


def lose_a_text(run: Run) -> None:
    with run.engine.store.transaction() as tx:
        first = tx.exec(select(StoredText.owner_id).where(StoredText.kind == "answer")).first()
        tx.exec(delete(StoredText).where(col(StoredText.owner_id) == first))


def answer_twice(run: Run) -> None:
    run.attempt()


def charge_twice(run: Run) -> None:
    with run.engine.store.transaction() as tx:
        call_id = tx.exec(select(Call.id)).first()
        for number in range(2):
            tx.add(
                LedgerEntry(
                    id=new_id(Prefix.LEDGER_ENTRY),
                    account_id=run.engine.account_id,
                    call_id=call_id,
                    kind="capture",
                    debit="held",
                    credit="platform",
                    amount_nanos=1,
                    idempotency_key=f"capture {number}",
                    created_at=run.engine.store.now(tx),
                )
            )


def ask_without_an_attempt(run: Run) -> None:
    run.provider.history.came["own", "prompt"] = 1


def sell_what_nobody_knows_of(run: Run) -> None:
    run.provider.history.answers.append(Answer("credits", "gpt-4o-mini", "text", 100, 100))


def tell_nobody(run: Run) -> None:
    run.taken.clear()


def fail_early(run: Run) -> None:
    with run.engine.store.transaction() as tx:
        tx.exec(select(Call)).all()[0].state = "failed"


def recover_late(run: Run) -> None:
    with run.engine.store.transaction() as tx:
        late = tx.exec(select(Attempt)).all()[0]
        late.finished_at = late.started_at + timedelta(seconds=RECOVERY_MAX_S + 2)
        at = late.started_at.timestamp() + 1
    run.losses = Losses([Loss([run.engine.worker_id], at, "kill -9")])


def answer_500(run: Run) -> None:
    run.load.statuses[500] += 1


WRONG: list[tuple[Callable[[Run], None], str]] = [
    (lose_a_job, "lost"),
    (lose_a_text, "lost"),
    (answer_twice, "results_twice"),
    (charge_twice, "charged_twice"),
    (ask_without_an_attempt, "unrecorded_requests"),
    (sell_what_nobody_knows_of, "duplicate_spend_nanos"),
    (tell_nobody, "untold_events"),
    (fail_early, "problems"),
    (recover_late, "slowest_recovery_s"),
    (answer_500, "internal_errors"),
]


@on_sqlite
def test_of_a_run_in_which_nothing_went_wrong_nothing_is_said(run: Run) -> None:
    verdict = run.verdict()
    assert verdict.is_good
    assert (verdict.calls, verdict.lost, verdict.problems) == (JOBS, 0, [])


@on_sqlite
@pytest.mark.parametrize(("happen", "told"), WRONG, ids=[wrong.__name__ for wrong, _ in WRONG])
def test_whatever_went_wrong_is_found(run: Run, happen: Callable[[Run], None], told: str) -> None:
    happen(run)
    verdict = run.verdict()
    assert not verdict.is_good
    assert getattr(verdict, told)
