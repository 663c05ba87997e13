"""From what each judge said to the panel's verdict."""

from collections.abc import Iterable, Mapping, Sequence
from math import fsum
from statistics import median

from app.domain.plan import Plan
from app.domain.verdict import JudgeScore, Score, Verdict
from app.modes.judge_verdict import ReadVerdict

#: Means are compared as they are shown: a difference beyond this is not a difference.
_DECIMALS = 4


def panel_verdict(
    plan: Plan,
    spoken: Mapping[str, ReadVerdict],
    *,
    abstained: int,
    addressing: Iterable[str] = (),
    chars: Mapping[str, int] | None = None,
    weights: Mapping[str, float] | None = None,
) -> Verdict:
    """The mean of the judges' scores, by contestant, best first.

    `spoken` has the verdicts that could be read, by the judge's label, all on the same
    contestants; `addressing` names the contestants whose answer seems to speak to the judge,
    `chars` has the lengths of the answers, and
    `weights` what a contestant's mean is multiplied by: the share of the checks that it passed.
    Contestants with the same mean share a rank, and if they are the best there is no winner.
    """
    judged = [
        score
        for verdict in spoken.values()
        for variant in plan.variants
        for score in verdict.scores
        if score.label == variant.label
    ]
    labels = dict.fromkeys(score.label for score in judged)
    given = {label: [score.score for score in judged if score.label == label] for label in labels}
    means = {
        label: round(_mean(scores) * (weights or {}).get(label, 1.0), _DECIMALS)
        for label, scores in given.items()
    }
    marked, own = set(addressing), _self_judged(plan, spoken)
    scores = [
        Score(
            label=label,
            score=mean,
            rank=1 + sum(other > mean for other in means.values()),
            reasoning=_reasoning([score for score in judged if score.label == label]),
            self_judged=label in own,
            addresses_judge=label in marked,
            median=_median(given[label]),
            spread=_spread(given[label]),
            chars=(chars or {}).get(label),
        )
        for label, mean in means.items()
    ]
    scores.sort(key=lambda score: score.rank)
    best = [score.label for score in scores if score.rank == 1]
    return Verdict(
        winner=best[0] if len(best) == 1 else None,
        scores=scores,
        overall=_joined({label: verdict.overall for label, verdict in spoken.items()}),
        abstained=abstained,
        judges=judged,
    )


def _mean(values: Sequence[float]) -> float:
    return round(fsum(values) / len(values), _DECIMALS)


def _median(values: Sequence[float]) -> float:
    return round(median(values), _DECIMALS)


def _spread(values: Sequence[float]) -> float:
    return round(max(values) - min(values), _DECIMALS)


def _self_judged(plan: Plan, spoken: Mapping[str, ReadVerdict]) -> set[str]:
    """The contestants that were scored by a judge of their own model."""
    judges = plan.judge.judges if plan.judge else ()
    models = {judge.ref for judge in judges if judge.label in spoken}
    return {variant.label for variant in plan.variants if variant.ref in models}


def _reasoning(scores: Sequence[JudgeScore]) -> str:
    return _joined({score.judge: score.reasoning for score in scores})


def _joined(texts: Mapping[str, str]) -> str:
    """What one judge wrote; with several, each on a line of its own that names the judge."""
    if len(texts) == 1:
        return next(iter(texts.values()))
    return "\n".join(f"{judge}: {text}" for judge, text in texts.items() if text)
