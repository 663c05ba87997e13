"""A thousand batches, each steered in every way at once while it ends."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest
from sqlmodel import select

from app.db import Store
from app.domain.errors import AppError
from app.models import Batch, Event
from app.pipeline.control import cancel, pause, resume
from app.pipeline.finalize import finalize
from app.pipeline.laws import check_laws
from app.pipeline.reconcile import reconcile
from tests.fakes.engine import Engine
from tests.integration.engine.failing import make_due
from tests.integration.engine.test_flow import QUICK

RACES = 1_000


@pytest.mark.timeout(1500)
@pytest.mark.parametrize("store_url", ["sqlite", "postgres"], indirect=True)
def test_q28_a_batch_that_is_paused_resumed_cancelled_and_completed_at_once_ends_once(
    store: Store, tmp_path: Path
) -> None:
    engine = Engine(store, tmp_path)
    services, account_id = engine.services, engine.account_id
    with ThreadPoolExecutor(4) as pool:
        for _ in range(RACES // 2):
            batch_id = engine.submit(["one"], params=QUICK)
            engine.drain(carry=lambda _: None)  # in flight
            engine.lose_worker()

            def steer(act: object, batch_id: str = batch_id) -> None:
                with suppress(AppError):
                    act(services, account_id, batch_id)  # type: ignore[operator]

            def end(batch_id: str = batch_id) -> None:
                with suppress(AppError):
                    reconcile(services)
                with suppress(AppError):
                    finalize(services, batch_id)

            for done in [pool.submit(steer, act) for act in (pause, resume, cancel)] + [
                pool.submit(end)
            ]:
                done.result()
            with suppress(AppError):
                resume(services, account_id, batch_id)
            make_due(engine)
            engine.drain()
            reconcile(services)
            engine.drain()
    with store.read() as session:
        states = Counter(session.exec(select(Batch.state)).all())
        ends = Counter(session.exec(select(Event.batch_id)).all())
        assert set(states) <= {"completed", "cancelled", "failed"}, states
        assert states.total() == len(ends) == RACES // 2
        assert set(ends.values()) == {1}
        assert check_laws(session, store) == []
