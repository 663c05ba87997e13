"""Judging a set of answers: checks, a question per judge, repairs where needed, and the verdict.

    checks ──▶ first judge ──▶ the others     a cascade, which ends where the best is far ahead
    checks ──▶ every judge                    otherwise

The mode judge and a blend that is judged against its candidates both come through here.
"""

from collections.abc import Mapping, Sequence
from typing import Literal

import msgspec

from app.domain.plan import CallResult, JobView, Round
from app.domain.states import Role
from app.domain.verdict import CanaryResult, Comparison, JudgeScore, Verdict
from app.modes.judge_checks import run_checks, share_passed
from app.modes.judge_pairs import ReadPreference, compare, read_preference, scored, told_apart
from app.modes.judge_panel import panel_verdict
from app.modes.judge_plan import CANARY, CHECKS, Pair, asks, levels, pairs_of, spec_of
from app.modes.judge_prompt import SCORE_MAX
from app.modes.judge_round import Key, Reading, is_repair, key_of, questions, repairs
from app.modes.judge_verdict import ReadVerdict, read_verdict

Level = Literal["checks", "judge", "panel"]


def judge_answers(
    job: JobView, answers: Mapping[str, str], judged: Sequence[CallResult], focus: str | None = None
) -> Round | Verdict:
    """What follows from the judges' calls so far: their questions, repairs, or the verdict.

    The variants of the job's plan are the contestants; `answers` has those that are shown.
    Where pairs are compared, `focus` is the one that each other is compared with.
    """
    sitting = _Sitting.of(job, answers, focus)
    verdict, spec = sitting.verdict("checks", [], {}), spec_of(job.plan)
    groups = levels(spec)
    if _is_settled(verdict, spec.escalate_below) and spec.checks:
        return verdict
    results: list[CallResult] = []
    for number, group in enumerate(groups):
        open_asks = asks(spec, group, sitting.undecided, job.seed)
        if not open_asks:
            break
        labels = {judge.label for _, judge in group}
        own = [result for result in judged if result.label in labels]
        if not own:
            return questions(job, answers, open_asks)
        readings = sitting.read(own)
        if not any(is_repair(result) for result in own) and (
            again := repairs(job, answers, own, readings)
        ):
            return again
        results += own
        level: Level = "judge" if number == 0 else "panel"
        verdict = sitting.verdict(level, results, sitting.read(results))
        if _is_settled(verdict, spec.escalate_below):
            break
    return verdict


def judged_in(results: Sequence[CallResult]) -> list[CallResult]:
    """The judges' results."""
    return [result for result in results if result.role is Role.JUDGE]


def _is_settled(verdict: Verdict, escalate_below: float | None) -> bool:
    """Whether the best is so far ahead that nobody else need be asked."""
    if escalate_below is None or len(verdict.scores) < 2:  # noqa: PLR2004 - a best and a next
        return False
    best, following = sorted((score.score for score in verdict.scores), reverse=True)[:2]
    return best - following >= escalate_below


class _Sitting(msgspec.Struct, frozen=True):
    """What is known of a job before any judge is asked.

    `decided` are the pairs that the checks tell apart, `undecided` those to be compared.
    """

    job: JobView
    answers: Mapping[str, str]
    checks: Mapping[str, Mapping[str, bool]]
    decided: list[Comparison] = []
    undecided: list[Pair] = []

    @classmethod
    def of(cls, job: JobView, answers: Mapping[str, str], focus: str | None) -> "_Sitting":
        """Run the checks, and see which pairs they leave to be compared."""
        spec = spec_of(job.plan)
        checks = {
            label: run_checks(spec.checks, text, job.prompt.reference)
            for label, text in answers.items()
        }
        if spec.scoring == "rubric":
            return cls(job, answers, checks)
        pairs = pairs_of(list(answers), spec, job.seed, focus if focus in answers else None)
        shares = {label: share_passed(passed) for label, passed in checks.items()}
        decided = told_apart(pairs, shares)
        known = {(pair.first, pair.second) for pair in decided}
        return cls(job, answers, checks, decided, [pair for pair in pairs if pair not in known])

    def read(self, judged: Sequence[CallResult]) -> dict[Key, Reading]:
        """What was last said to each question; one whose call failed is not in it."""
        spec = spec_of(self.job.plan)
        last: dict[Key, CallResult] = {}
        for result in sorted(judged, key=is_repair):
            last[key_of(result)] = result
        places = {judge.label: place for place, judge in enumerate(spec.judges)}
        found: dict[Key, Reading] = {}
        for key in sorted(last, key=lambda key: (places.get(key[0], len(places)), key)):
            if not last[key].succeeded:
                continue
            shown = (last[key].meta or {}).get("contestants", {})
            found[key] = (
                read_preference(last[key].text, shown)
                if key[1]
                else read_verdict(
                    last[key].text, judge=key[0], contestants=shown, criteria=spec.criteria
                )
            )
        return found

    def verdict(
        self, level: Level, judged: Sequence[CallResult], readings: Mapping[Key, Reading]
    ) -> Verdict:
        """The verdict of the judges asked so far; of the checks alone, if none was."""
        spec = spec_of(self.job.plan)
        asked = {result.label for result in judged}
        verdict = (self._by_pairs if spec.scoring == "pairwise" else self._by_score)(
            judged, readings
        )
        scores = [
            msgspec.structs.replace(score, checks=dict(self.checks[score.label]) or None)
            for score in verdict.scores
        ]
        return msgspec.structs.replace(
            verdict,
            scores=scores,
            decided_by=None if spec.escalate_below is None else level,
            unasked=[judge.label for judge in spec.judges if judge.label not in asked],
        )

    def _by_score(self, judged: Sequence[CallResult], readings: Mapping[Key, Reading]) -> Verdict:
        spoken, canaries = {}, []
        for (label, _), reading in readings.items():
            if isinstance(reading, ReadVerdict):
                spoken[label], canary = _without_canary(label, reading)
                canaries += canary
        shares = {label: share_passed(passed) for label, passed in self.checks.items()}
        if not judged and spec_of(self.job.plan).checks:
            spoken = {CHECKS: _by_checks(shares)}
            shares = {}
        return msgspec.structs.replace(self._panel(spoken, judged, shares), canaries=canaries)

    def _by_pairs(self, judged: Sequence[CallResult], readings: Mapping[Key, Reading]) -> Verdict:
        preferences = {
            key: reading for key, reading in readings.items() if isinstance(reading, ReadPreference)
        }
        keys = {key_of(result) for result in judged}
        asked = [
            (judge.label, (pair[0], pair[1]))
            for judge in spec_of(self.job.plan).judges
            for label, pair in sorted(keys)
            if label == judge.label and pair
        ]
        compared = compare(asked, preferences)
        spoken = scored(compared.pairs, self.decided, () if judged else self.undecided)
        return msgspec.structs.replace(
            self._panel(spoken, judged, {}),
            pairs=[*self.decided, *compared.pairs],
            pairs_missing=compared.missing,
            canaries=compared.canaries,
        )

    def _panel(
        self,
        spoken: Mapping[str, ReadVerdict],
        judged: Sequence[CallResult],
        weights: Mapping[str, float],
    ) -> Verdict:
        addressing = {
            label for result in judged for label in (result.meta or {}).get("addresses_judge", [])
        }
        asked = {result.label for result in judged}
        return panel_verdict(
            self.job.plan,
            spoken,
            abstained=len(asked - spoken.keys()),
            addressing=addressing,
            chars={label: len(text) for label, text in self.answers.items()},
            weights=weights,
        )


def _by_checks(shares: Mapping[str, float]) -> ReadVerdict:
    scores = [JudgeScore(CHECKS, label, SCORE_MAX * share) for label, share in shares.items()]
    return ReadVerdict(tuple(scores), "")


def _without_canary(judge: str, reading: ReadVerdict) -> tuple[ReadVerdict, list[CanaryResult]]:
    """A verdict on the contestants alone, and whether the judge fell for the canary."""
    scores = tuple(score for score in reading.scores if score.label != CANARY)
    planted = [score.score for score in reading.scores if score.label == CANARY]
    best = max((score.score for score in scores), default=0.0)
    return (
        ReadVerdict(scores, reading.overall),
        [CanaryResult(judge, fooled=score >= max(best, 1)) for score in planted],
    )
