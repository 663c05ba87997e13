"""The report of a batch: who did how well, at what cost, and how sure that is."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import fsum

import msgspec
from sqlmodel import Session

from app.domain.money import ceil_div
from app.domain.plan import Plan
from app.domain.prompt import Variant
from app.domain.states import CallState, Role
from app.models import Batch
from app.modes.judge_prompt import SCORE_MAX
from app.providers.registry import SIMULATED
from app.reports.blended import is_blend, proof_of
from app.reports.cascade import levels_of
from app.reports.contestants import contestants_of, jobs_by_label, judges_of, panels_of
from app.reports.failures import failures
from app.reports.judged_views import BlendProofView, EstimateView, JudgedView
from app.reports.judgements import Judgements, Marks, judgements
from app.reports.notes import notes_on
from app.reports.owned import own_batch, plan_of
from app.reports.progress import cost_view, job_counts
from app.reports.ranking import Place, Standing, places
from app.reports.report_views import (
    ContestantView,
    FailureView,
    JudgePanelist,
    ReportView,
    Stage,
    StageCost,
)
from app.reports.tallies import (
    Used,
    blend_latency_p50,
    calls_by_state,
    latencies_by_label,
    repairs_by_judge,
    used_by,
)
from app.stats.intervals import Estimate, mean_by_prompt, win_share
from app.vault.texts import texts_of

_NO_MARKS = Marks()
_STAGES: dict[Role, Stage] = {
    Role.CANDIDATE: "candidates",
    Role.JUDGE: "judges",
    Role.SYNTHESIZER: "blend",
}


def report(session: Session, account_id: str, batch_id: str) -> ReportView:
    """The report of a batch as it is now; one that is not closed says so in its notes.

    Raises:
        NotFoundError: the account has no such batch.
        GoneError: its text was destroyed.
    """
    return lay_out(gather(session, account_id, batch_id))


def gather(session: Session, account_id: str, batch_id: str) -> "Sums":
    """All that a report takes from the store, so that no snapshot is held while it is made.

    Raises:
        NotFoundError: the account has no such batch.
        GoneError: its text was destroyed.
    """
    return Sums.read(session, own_batch(session, account_id, batch_id))


def lay_out(sums: "Sums") -> ReportView:
    """The report of what was gathered."""
    batch, judged = sums.batch, _judged(sums)
    leaderboard = _leaderboard(sums, judged)
    judges = [_panelist(sums, judge) for judge in sums.judges]
    view = ReportView(
        batch_id=batch.id,
        name=batch.name,
        mode=batch.mode,
        state=batch.state,
        simulated=any(_is_simulated(one) for one in (*sums.contestants, *sums.judges)),
        jobs=job_counts(batch),
        judged=sums.judged.judged,
        leaderboard=leaderboard,
        judges=judges,
        costs=_stages(sums),
        cost=cost_view(batch),
        notes=[],
        wins=judged.wins if judged else None,
        tests=judged.tests if judged else [],
        trust=judged.trust if judged else None,
        levels=levels_of(panels_of(sums.plan), sums.judged.decided_by, sums.used),
        blend=_proof(sums, judged),
        failures=sums.failures,
    )
    estimated = sum(one.estimated for one in sums.used.values())
    return notes_on(view, ending=batch.ending, cached=batch.calls_cached, estimated=estimated)


@dataclass(frozen=True, slots=True)
class Sums:
    """Everything that is added up about a batch."""

    batch: Batch
    plan: Plan
    contestants: Sequence[Variant]
    judges: Sequence[Variant]
    jobs: Mapping[str, int]
    states: dict[str, Counter[str]]
    used: dict[tuple[str, str], Used]
    latencies: dict[str, tuple[int, ...]]
    judged: Judgements
    repairs: dict[str, int]
    blend_p50_ms: int | None
    failures: list[FailureView]

    @classmethod
    def read(cls, session: Session, batch: Batch) -> "Sums":
        """Add it all up."""
        plan, texts = plan_of(session, batch.id), texts_of(session, batch)
        panels = [[judge.label for judge in panel] for panel in panels_of(plan)]
        is_judged = any(one.judge is not None for one in plan.all)
        return cls(
            batch=batch,
            plan=plan,
            contestants=contestants_of(plan),
            judges=judges_of(plan),
            jobs=jobs_by_label(session, batch.id, plan),
            states=calls_by_state(session, batch.id),
            used=used_by(session, batch.id),
            latencies=latencies_by_label(session, batch.id),
            judged=judgements(session, batch.id, texts, panels) if is_judged else Judgements(),
            repairs=repairs_by_judge(session, batch.id) if is_judged else {},
            blend_p50_ms=blend_latency_p50(session, batch.id) if is_blend(plan) else None,
            failures=failures(session, batch.id),
        )

    def used_as(self, role: Role, label: str) -> Used:
        """What a label used in a role."""
        return self.used.get((role, label), Used())

    def marks_of(self, label: str) -> Marks:
        """How a contestant was found."""
        return self.judged.marks.get(label, _NO_MARKS)

    def jobs_of(self, label: str) -> int:
        """How many jobs ask a contestant; of one that others fall back to, how many have."""
        asked = self.jobs.get(label)
        return sum(self.states.get(label, Counter()).values()) if asked is None else asked


def _judged(sums: Sums) -> JudgedView | None:
    """What the verdicts say beyond scores; None where there is none with a score."""
    if not sums.judged.judged:
        return None
    from app.reports.judged import judged_view  # noqa: PLC0415 - numpy, where it is needed

    return judged_view(sums.judged, sums.contestants, sums.judges, is_blend=is_blend(sums.plan))


def _leaderboard(sums: Sums, judged: JudgedView | None) -> list[ContestantView]:
    """Best mean first; where nothing is judged, who answered most."""
    standings = []
    for variant in sums.contestants:
        scores = sums.marks_of(variant.label).scores
        standings.append(Standing(fsum(scores), len(scores), sums.jobs_of(variant.label)))
    placed = places(standings)
    rows = [
        _contestant(sums, variant, place)
        for variant, place in zip(sums.contestants, placed, strict=True)
    ]
    if judged is not None:
        rows = [msgspec.structs.replace(row, rating=judged.ratings.get(row.label)) for row in rows]
    # Sorting keeps the plan's order between equals.
    return sorted(rows, key=lambda row: (row.rank or len(rows) + 1, -row.answered))


def _contestant(sums: Sums, variant: Variant, place: Place) -> ContestantView:
    label, jobs = variant.label, sums.jobs_of(variant.label)
    states, marks = sums.states.get(label, Counter()), sums.marks_of(label)
    used = sums.used.get((Role.CANDIDATE, label)) or sums.used_as(Role.SYNTHESIZER, label)
    answered = states[CallState.SUCCEEDED]
    refused, failed = states[CallState.REFUSED], states[CallState.FAILED]
    covered = len(marks.scores) if sums.judges else answered
    cost = None if used.unpriced else used.cost_nanos
    p50, p95 = sums.latencies.get(label, (None, None))
    return ContestantView(
        rank=place.rank,
        label=label,
        model=str(variant.ref),
        simulated=_is_simulated(variant),
        answered=answered,
        refused=refused,
        failed=failed,
        missing=jobs - answered - refused - failed,
        coverage=covered / jobs if jobs else 0.0,
        score=_mean_score(marks),
        win_share=_estimate(win_share(marks.wins, len(marks.scores))),
        undecided=place.undecided,
        self_judged=marks.self_judged,
        addresses_judge=marks.addresses_judge,
        latency_p50_ms=p50,
        latency_p95_ms=p95,
        input_tokens=used.input_tokens,
        output_tokens=used.output_tokens,
        cost_nanos=cost,
        cost_per_answer_nanos=ceil_div(cost, answered) if answered and cost is not None else None,
        unpriced_answers=used.unpriced,
    )


def _mean_score(marks: Marks) -> EstimateView | None:
    # A contestant has one score on each job, so the place in the list tells prompts apart.
    scores = ((str(place), score) for place, score in enumerate(marks.scores))
    return _estimate(mean_by_prompt(scores, bounds=(0, SCORE_MAX)))


def _estimate(found: Estimate | None) -> EstimateView | None:
    if found is None:
        return None
    return EstimateView(value=found.value, low=found.low, high=found.high, prompts=found.count)


def _panelist(sums: Sums, judge: Variant) -> JudgePanelist:
    used, given = sums.used_as(Role.JUDGE, judge.label), sums.judged.given[judge.label]
    return JudgePanelist(
        label=judge.label,
        model=str(judge.ref),
        simulated=_is_simulated(judge),
        verdicts=given,
        # Whoever is on a job's panel is asked wherever it came to a verdict, but for a cascade's
        # that needed no more judges.
        abstained=sums.judged.asked[judge.label] - given - sums.judged.unasked[judge.label],
        repaired=sums.repairs.get(judge.label, 0),
        cost_nanos=None if used.unpriced else used.cost_nanos,
        unpriced_answers=used.unpriced,
    )


def _stages(sums: Sums) -> list[StageCost]:
    """What each stage cost; one that the mode does not have is left out."""
    has = {Role.CANDIDATE, *(role for role, _ in sums.used)}
    if sums.judges:
        has.add(Role.JUDGE)
    if any(one.blend is not None for one in sums.plan.all):
        has.add(Role.SYNTHESIZER)
    return [_stage(sums, role, name) for role, name in _STAGES.items() if role in has]


def _stage(sums: Sums, role: Role, name: Stage) -> StageCost:
    used = [one for (of_role, _), one in sums.used.items() if of_role == role]
    unpriced = sum(one.unpriced for one in used)
    return StageCost(
        stage=name,
        answers=sum(one.answers for one in used),
        cost_nanos=None if unpriced else sum(one.cost_nanos for one in used),
        unpriced_answers=unpriced,
    )


def _proof(sums: Sums, judged: JudgedView | None) -> BlendProofView | None:
    if judged is None or judged.duel is None:
        return None
    best = sums.latencies.get(judged.duel.best, (None, None))[0]
    return proof_of(sums.plan, judged.duel, sums.used, (sums.blend_p50_ms, best))


def _is_simulated(variant: Variant) -> bool:
    return variant.ref.provider == SIMULATED
