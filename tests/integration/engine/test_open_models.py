"""A model whose breaker is open: a mesh goes on to its next one, and everything else waits."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from sqlmodel import col, select

from app.models import Backlog, Call
from app.pipeline.backlog import due_backlog
from tests.fakes.engine import Engine
from tests.integration.engine.test_flow import QUICK
from workers.waits import CIRCUIT_OPEN, Waits

SHUT, OTHER = "simulated/gold", "simulated/tin"


MESH = {"mode": "mesh", "models": [SHUT], "mesh": {"fallback": [OTHER]}}
COMPARE = {"mode": "compare", "models": [SHUT, OTHER]}


@pytest.mark.parametrize("body", [MESH, COMPARE], ids=["mesh", "compare"])
async def test_a_mesh_skips_a_model_whose_breaker_is_open_and_others_wait_for_it(
    engine: Engine, body: dict[str, Any]
) -> None:
    engine.submit(["one"], params=QUICK, **body)
    engine.follow(*engine.queue.hints.popleft())
    entries = [entry for entry in due_backlog(engine.store) if entry.model == "gold"]
    assert len(entries) == 1
    with ThreadPoolExecutor(1) as executor:
        waits = Waits(engine.services, executor)
        await waits.follow(entries, {(entries[0].lane_id, entries[0].model): 10.0})
    with engine.store.read() as session:
        call = session.exec(select(Call).where(Call.label == SHUT)).one()
        why = session.exec(select(Backlog.wait_reason).where(Backlog.model == "gold")).all()
    if body is MESH:
        assert (call.state, call.reason, call.attempts) == ("failed", CIRCUIT_OPEN, 0)
        while engine.queue.hints:
            engine.follow(*engine.queue.hints.popleft())
        with engine.store.read() as session:
            labels = session.exec(select(Call.label).order_by(col(Call.id))).all()
        assert labels == [SHUT, OTHER]
    else:
        assert (call.state, why) == ("queued", [CIRCUIT_OPEN])
