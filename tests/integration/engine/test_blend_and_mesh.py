"""Blends and meshes on their way through the engine."""

import msgspec
import pytest
from sqlmodel import col, select

from app.domain.errors import InvalidRequestError, ProviderUnavailableError
from app.domain.plan import RouteStep, Synthesis
from app.models import Call, StoredText
from app.pipeline.outcomes import Finished, erred
from app.pipeline.prepare import Prepared
from app.pipeline.reconcile import recover_lost_workers
from app.reports.results import result_page
from app.reports.views import ResultLine
from tests.fakes.engine import Engine
from tests.integration.engine.failing import make_due
from tests.integration.engine.test_flow import QUICK, batch_of

THREE = ["simulated/gold", "simulated/silver", "simulated/tin"]


def line_of(engine: Engine, batch_id: str) -> ResultLine:
    """The one result line of a batch."""
    with engine.store.read() as session:
        lines, _ = result_page(session, engine.account_id, batch_id)
    return lines[0]


@pytest.mark.parametrize(
    ("blend", "calls"),
    [
        ({"strategy": "consensus"}, 4),
        ({"strategy": "council", "synthesizer": "simulated/gold"}, 4),
        ({"strategy": "best_of"}, 4),
        ({"strategy": "chain"}, 5),
        ({"strategy": "moa", "layers": 2}, 7),
    ],
)
def test_a_blend_answers_with_one_synthesis_of_its_candidates(
    engine: Engine, blend: dict[str, object], calls: int
) -> None:
    batch_id = engine.submit(["one"], mode="blend", models=THREE, blend=blend, params=QUICK)
    engine.drain()
    line = line_of(engine, batch_id)
    assert line.state == "succeeded"
    assert line.synthesis is not None
    told = msgspec.json.decode(line.synthesis)
    synthesis = msgspec.convert(told, Synthesis)
    assert synthesis.strategy == blend["strategy"]
    assert not synthesis.fell_back
    assert told["text"]
    with engine.store.read() as session:
        made = session.exec(select(Call).where(Call.batch_id == batch_id)).all()
    assert len(made) == calls
    assert {call.role for call in made} == {"candidate", "synthesizer"}


def test_self_moa_samples_one_model_several_times(engine: Engine) -> None:
    blend = {"strategy": "self_moa", "samples": 4}
    batch_id = engine.submit(
        ["one"], mode="blend", models=["simulated/gold"], blend=blend, params=QUICK
    )
    engine.drain()
    assert line_of(engine, batch_id).state == "succeeded"
    with engine.store.read() as session:
        roles = sorted(session.exec(select(Call.role)).all())
    assert roles == ["candidate"] * 4 + ["synthesizer"]


def test_j8_a_synthesis_that_fails_costs_no_candidate_again(engine: Engine) -> None:
    batch_id = engine.submit(["one"], mode="blend", models=THREE, params=QUICK)

    def carry(one: Prepared) -> Finished:
        if one.call.role == "synthesizer":
            error = ProviderUnavailableError("down", reason="server_error")
            one.call.attempts = 99
            return erred(one.call, error, engine.policy, 1)
        return engine.carry_all([one])[0]

    engine.drain(carry)
    line = line_of(engine, batch_id)
    assert line.state == "succeeded"
    assert line.synthesis is not None
    told = msgspec.json.decode(line.synthesis)
    assert told["fell_back"] is True
    assert told["text"]
    with engine.store.read() as session:
        candidates = session.exec(select(Call.epoch).where(Call.role == "candidate")).all()
    assert candidates == [1, 1, 1]


def test_j8_a_judge_that_crashes_costs_no_contestant_again(engine: Engine) -> None:
    batch_id = engine.submit(
        ["one"], mode="judge", models=THREE, judge={"judges": ["simulated/judge"]}, params=QUICK
    )
    engine.drain(lambda one: engine.carry_all([one])[0] if one.call.role == "candidate" else None)
    engine.lose_worker()
    recover_lost_workers(engine.services)
    make_due(engine)
    engine.drain()
    line = line_of(engine, batch_id)
    assert line.state == "succeeded"
    with engine.store.read() as session:
        epochs = session.exec(select(Call.role, Call.epoch).order_by(col(Call.role))).all()
    assert epochs == [("candidate", 1)] * 3 + [("judge", 2)]


def test_a_mesh_goes_on_to_the_next_model_and_tells_its_route(engine: Engine) -> None:
    batch_id = engine.submit(
        ["one"],
        mode="mesh",
        models=["simulated/gold"],
        mesh={"fallback": ["simulated/silver", "simulated/tin"]},
        params=QUICK,
    )

    def carry(one: Prepared) -> Finished:
        if one.call.model == "tin":
            return engine.carry_all([one])[0]
        error = ProviderUnavailableError("down", reason="server_error", status_code=503)
        return erred(one.call, error, engine.policy, 7)

    engine.drain(carry)
    line = line_of(engine, batch_id)
    assert line.state == "succeeded"
    route = msgspec.json.decode(line.route or b"[]", type=list[RouteStep])
    assert [(step.model, step.outcome, step.status_code) for step in route] == [
        ("simulated/gold", "failed", 503),
        ("simulated/silver", "failed", 503),
        ("simulated/tin", "succeeded", 200),
    ]
    with engine.store.read() as session:
        assert session.exec(select(Call.epoch).order_by(col(Call.round))).all() == [1, 1, 1]


def test_a_mesh_whose_first_model_answers_asks_no_other(engine: Engine) -> None:
    engine.submit(
        ["one"],
        mode="mesh",
        models=["simulated/gold"],
        mesh={"fallback": ["simulated/tin"]},
        params=QUICK,
    )
    engine.drain()
    with engine.store.read() as session:
        assert session.exec(select(Call.model)).all() == ["gold"]


def test_a_mesh_by_cost_asks_the_cheapest_first(engine: Engine) -> None:
    engine.submit(
        ["one"],
        mode="mesh",
        models=["simulated/gold"],
        mesh={"fallback": ["simulated/silver", "simulated/tin"], "strategy": "cost"},
        params=QUICK,
    )
    engine.drain()
    with engine.store.read() as session:
        assert session.exec(select(Call.model)).all() == ["tin"]


def test_a_mesh_whose_models_all_fail_ends_with_the_whole_route(engine: Engine) -> None:
    batch_id = engine.submit(
        ["one"],
        mode="mesh",
        models=["simulated/gold"],
        mesh={"fallback": ["simulated/tin"]},
        params=QUICK,
    )

    def carry(one: Prepared) -> Finished:
        one.call.attempts = 99
        error = ProviderUnavailableError("down", reason="server_error", status_code=500)
        return erred(one.call, error, engine.policy, 7)

    engine.drain(carry)
    line = line_of(engine, batch_id)
    assert line.state == "failed"
    assert len(msgspec.json.decode(line.route or b"[]")) == 2
    with engine.store.read() as session:
        assert batch_of(session, batch_id).state == "completed"


def test_an_outcome_is_text_and_goes_where_text_goes(engine: Engine) -> None:
    batch_id = engine.submit(["one"], mode="blend", models=THREE, params=QUICK)
    engine.drain()
    with engine.store.read() as session:
        kinds = session.exec(
            select(StoredText.kind).where(StoredText.batch_id == batch_id).distinct()
        ).all()
    assert "synthesis" in kinds


@pytest.mark.parametrize(
    ("body", "where"),
    [
        ({"mode": "blend", "models": ["simulated/gold"]}, "models"),
        ({"mode": "mesh", "models": ["simulated/gold"]}, "mesh"),
        ({"mode": "chat", "blend": {"strategy": "consensus"}}, "blend"),
    ],
)
def test_a_plan_that_cannot_work_is_refused_with_its_field(
    engine: Engine, body: dict[str, object], where: str
) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        engine.submit(["one"], params=QUICK, **body)
    assert (caught.value.param or "").startswith(where)
