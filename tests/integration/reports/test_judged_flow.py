"""Every way to judge, from submission to report, with a simulated provider whose truth is known."""

from pathlib import Path
from typing import Any

import msgspec
import pytest

from app.db import Store
from app.domain.spec import BatchBody
from app.pipeline.estimate import Estimate, estimate
from app.pipeline.lines import RawLine
from app.pipeline.submit import Submission
from app.reports.leaderboard import report
from app.reports.progress import batch_view
from app.reports.report_views import ReportView
from app.reports.results import result_page
from tests.fakes.engine import Engine

QUICK = {"seed": 11, "extra": {"simulated": {"latency_ms": 0}}}
GOLD, SILVER, BRONZE, TIN = (f"simulated/{name}" for name in ("gold", "silver", "bronze", "tin"))
JUDGES = ["simulated/judge", "simulated/second-judge"]
PLANTED = [GOLD, SILVER, BRONZE, TIN]
PROMPTS = [f"Question {number}?" for number in range(12)]

SCORINGS: dict[str, dict[str, Any]] = {
    "rubric": {"judges": JUDGES, "criteria": ["right", "clear"]},
    "pairwise": {"judges": JUDGES[:1], "scoring": "pairwise", "canary": True},
    "sampled pairs": {"judges": JUDGES, "scoring": "pairwise", "pairs": 4},
    "cascade": {"judges": JUDGES, "escalate_below": 1.5, "canary": True},
}


@pytest.fixture
def engine(store: Store, tmp_path: Path) -> Engine:
    """A whole engine in one thread."""
    return Engine(store, tmp_path)


def run(engine: Engine, **body: Any) -> tuple[ReportView, str]:
    batch_id = engine.submit(PROMPTS, params=QUICK, **body)
    engine.drain()
    with engine.store.read() as session:
        return report(session, engine.account_id, batch_id), batch_id


def estimated_calls(engine: Engine, **body: Any) -> int:
    return estimated(engine, **body).calls


def estimated(engine: Engine, **body: Any) -> Estimate:
    lines = [
        RawLine(f"jobs[{n}]", msgspec.json.encode({"custom_id": f"c{n}", "prompt": prompt}))
        for n, prompt in enumerate(PROMPTS)
    ]
    spec = BatchBody.model_validate_json(msgspec.json.encode({"params": QUICK, **body}))
    return estimate(engine.services, Submission(engine.account_id, spec, lines))


def made_calls(engine: Engine, batch_id: str) -> int:
    with engine.store.read() as session:
        return batch_view(session, engine.account_id, batch_id).counts.calls.closed


@pytest.mark.parametrize("judge", SCORINGS.values(), ids=SCORINGS)
def test_every_scoring_recovers_the_planted_order_at_the_estimated_calls(
    engine: Engine, judge: dict[str, Any]
) -> None:
    body = {"mode": "judge", "models": PLANTED[::-1], "judge": judge}
    foreseen = estimated(engine, **body)
    expected = foreseen.calls
    found, batch_id = run(engine, **body)

    assert any("cascade" in note for note in foreseen.notes) == ("escalate_below" in judge)
    assert (found.state, found.judged) == ("completed", len(PROMPTS))
    assert found.leaderboard[0].label == GOLD
    assert found.leaderboard[-1].label == TIN
    ratings = {row.label: row.rating for row in found.leaderboard}
    assert ratings[GOLD].value > ratings[TIN].value
    assert [one.abstained for one in found.judges] == [0] * len(judge["judges"])
    made = made_calls(engine, batch_id)
    if "escalate_below" in judge:
        levels = {one.level: one for one in found.levels}
        assert levels["judge"].decided + levels["panel"].decided == len(PROMPTS)
        assert levels["judge"].answers == len(PROMPTS)
        assert levels["panel"].answers == levels["panel"].decided
        assert made < expected
    else:
        assert made == expected
    if "canary" in judge:
        assert found.trust.judges[0].canaries == len(PROMPTS)
        assert all(one.fooled == 0 for one in found.trust.judges)
    if judge.get("scoring") == "pairwise":
        assert all(one.flip_rate is not None for one in found.trust.judges)


def test_checks_alone_rank_without_any_call_of_a_judge(engine: Engine) -> None:
    checks = [{"kind": "regex", "value": r"quality [789]\."}, {"kind": "contains", "value": "[sim"}]
    body = {"mode": "judge", "models": PLANTED, "judge": {"checks": checks}}
    expected = estimated_calls(engine, **body)
    found, batch_id = run(engine, **body)
    assert made_calls(engine, batch_id) == expected == len(PROMPTS) * len(PLANTED)
    assert [found.leaderboard[0].label, found.leaderboard[-1].label] == [GOLD, TIN]
    with engine.store.read() as session:
        [line, *_], _ = result_page(session, engine.account_id, batch_id)
    verdict = msgspec.json.decode(line.verdict)
    assert {score["label"] for score in verdict["scores"]} == set(PLANTED)
    assert all(set(score["checks"]) == {"regex", "contains"} for score in verdict["scores"])


def test_a_blend_is_proven_against_its_best_source_with_what_each_brought(engine: Engine) -> None:
    best = {"model": "simulated/gold", "label": "smith", "params": QUICK}
    body = {
        "mode": "blend",
        "models": [SILVER, BRONZE, TIN],
        "blend": {"synthesizer": best, "contribution": True},
        "judge": {"judges": JUDGES[:1], "scoring": "pairwise"},
    }
    expected = estimated_calls(engine, **body)
    found, batch_id = run(engine, **body)
    assert made_calls(engine, batch_id) == expected
    # Three answers, the blend, three without one of them; six pairs in both orders.
    assert expected == len(PROMPTS) * (3 + 1 + 3 + 12)

    assert [row.label for row in found.leaderboard if row.label == "synthesis"] == ["synthesis"]
    proof = found.blend
    assert proof is not None
    assert proof.both_orders
    assert proof.duel.best in (SILVER, BRONZE, TIN)
    assert proof.duel.wins + proof.duel.ties + proof.duel.losses == proof.duel.prompts == 12
    assert proof.duel.wins > proof.duel.losses
    assert proof.duel.win_share.low < proof.duel.win_share.value <= proof.duel.win_share.high
    assert proof.extra_cost_nanos > 0
    assert proof.extra_cost_per_win_nanos >= proof.extra_cost_nanos
    assert proof.extra_latency_ms is not None
    assert {one.label for one in proof.duel.contributions} == {SILVER, BRONZE, TIN}
    assert [one.stage for one in found.costs] == ["candidates", "judges", "blend"]
    assert sum(one.cost_nanos for one in found.costs) == found.cost.spent_nanos


def test_a_blend_without_judges_is_not_proven(engine: Engine) -> None:
    found, _ = run(engine, mode="blend", models=[SILVER, TIN])
    assert found.blend is None
