"""From verdicts to ratings, tests and doubts. Imports numpy: to be imported where it is used."""

from array import array
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from itertools import combinations
from typing import NamedTuple

import msgspec
import numpy as np

from app.domain.prompt import Variant
from app.modes.blend_plan import is_without, synthesis_label, without_label
from app.reports.judged_views import (
    ContributionView,
    DuelView,
    EstimateView,
    JudgedView,
    JudgeTrustView,
    KappaView,
    PairedTestView,
    RatingView,
    TrustView,
    WinsView,
)
from app.reports.judgements import RESAMPLES, SEED, Judgements
from app.stats.agreement import alpha, alpha_ordinal, kappa_of
from app.stats.battles import CLOSE, Battles, Floats, Integers, meetings_of
from app.stats.bias import flip_rate, length_slope, self_preference
from app.stats.intervals import Estimate, win_share
from app.stats.paired import PairedTest, paired_tests
from app.stats.ratings import Rating, rate, rating_of
from app.stats.student import t_critical
from app.stats.style import Styled, length_feature, rate_styled

#: Points on the scale of 10 within which two contestants count as equivalent.
MARGIN = 0.5


class Court(NamedTuple):
    """Who was judged, in this order, and by whom."""

    contestants: Sequence[Variant]
    judges: Sequence[Variant]
    labels: Sequence[str]


def judged_view(
    sums: Judgements, contestants: Sequence[Variant], judges: Sequence[Variant], *, is_blend: bool
) -> JudgedView:
    """What the verdicts of a batch say; of a blend, also against the best of its sources."""
    listed = dict.fromkeys([*(one.label for one in contestants), *sums.marks])
    court, labels = Court(contestants, judges, list(listed)), list(listed)
    scores = _table(sums, labels, sums.scores.column)
    chars = _table(sums, labels, sums.chars.column)
    battles, prompts = _battles(sums, labels, scores)
    feature = length_feature(chars[prompts, battles.first], chars[prompts, battles.second])
    # A length that is not known is no difference.
    styled = rate_styled(battles, np.nan_to_num(feature)) if len(battles) else None
    ratings = rate(battles, resamples=RESAMPLES, seed=SEED)
    tests = paired_tests(labels, scores, margin=MARGIN)
    return JudgedView(
        ratings=dict(_ratings(ratings, styled, len(np.unique(prompts)))),
        wins=_wins(battles),
        tests=[PairedTestView(**asdict(test)) for test in tests],
        trust=_trust(sums, court, (scores, chars), styled),
        duel=_duel(sums, labels, scores) if is_blend else None,
    )


def _table(
    sums: Judgements, keys: Sequence[object], column: Callable[[object, int], "array[float]"]
) -> Floats:
    columns = [np.array(column(key, sums.verdicts), dtype=float) for key in keys]
    return np.stack(columns, axis=1) if columns else np.empty((sums.verdicts, 0))


def _battles(sums: Judgements, labels: Sequence[str], scores: Floats) -> tuple[Battles, Integers]:
    """The battles, and of each the number of its verdict: pairs as compared, or as scored."""
    met = sums.meetings
    if not len(met.shares):
        pairs, share, prompts = meetings_of(scores)
        return Battles.of_columns(labels, pairs, share, prompts), prompts
    places = {label: place for place, label in enumerate(labels)}
    first = np.array([places[label] for label in met.firsts], dtype=np.int64)
    second = np.array([places[label] for label in met.seconds], dtype=np.int64)
    prompts = np.array(met.verdicts, dtype=np.int64)
    share = np.array(met.shares, dtype=float)
    return Battles.of_columns(labels, (first, second), share, prompts), prompts


def _ratings(
    found: Sequence[Rating], styled: Styled | None, prompts: int
) -> Iterator[tuple[str, RatingView]]:
    """The ratings of those who met anybody."""
    for place, one in enumerate(found):
        if one.theta is None or one.low is None or one.high is None or one.error is None:
            continue
        view = RatingView(
            value=rating_of(one.theta),
            low=one.low,
            high=one.high,
            bootstrap_low=one.bootstrap_low,
            bootstrap_high=one.bootstrap_high,
            theta=one.theta,
            error=one.error,
            comparisons=one.battles,
            group=one.group,
            regularised=one.regularised,
        )
        yield one.name, view if styled is None else _with_style(view, styled, place, prompts)


def _with_style(view: RatingView, styled: Styled, place: int, prompts: int) -> RatingView:
    theta = float(styled.theta[place])
    reach = t_critical(max(1, prompts - 1)) * float(styled.errors[place])
    return msgspec.structs.replace(
        view,
        styled=rating_of(theta),
        styled_low=rating_of(theta - reach),
        styled_high=rating_of(theta + reach),
    )


def _wins(battles: Battles) -> WinsView:
    wins = battles.wins()
    games = wins + wins.T
    size = range(len(battles.names))
    return WinsView(
        labels=list(battles.names),
        shares=[
            [
                float(wins[row, column] / games[row, column]) if games[row, column] else None
                for column in size
            ]
            for row in size
        ],
        comparisons=[[round(count) for count in row] for row in games.tolist()],
    )


def _trust(
    sums: Judgements, court: Court, tables: tuple[Floats, Floats], styled: Styled | None
) -> TrustView:
    scores, chars = tables
    given = {
        judge.label: _table(
            sums, [(judge.label, label) for label in court.labels], sums.by_judge.column
        )
        for judge in court.judges
    }
    cells = [table.reshape(-1) for table in given.values()]
    rated = np.stack(cells, axis=1) if cells else np.empty((0, 0))
    return TrustView(
        alpha=alpha(rated),
        alpha_ordinal=alpha_ordinal(rated),
        agreement=list(_agreement(given)),
        judges=[_judge(sums, court, judge, given, chars) for judge in court.judges],
        length_slope=_estimate(length_slope(scores, chars)),
        length_effect=None if styled is None else _estimate(styled.length),
    )


def _agreement(given: Mapping[str, Floats]) -> Iterator[KappaView]:
    """Of every two judges: whom each puts first, of every two contestants on every prompt."""
    for (first, ones), (second, others) in combinations(given.items(), 2):
        counts = np.zeros((3, 3))
        for left, right in combinations(range(ones.shape[1]), 2):
            says = [_preferred(table[:, left] - table[:, right]) for table in (ones, others)]
            both = (says[0] >= 0) & (says[1] >= 0)
            cells = np.bincount(says[0][both] * 3 + says[1][both], minlength=9)
            counts += cells.reshape(3, 3)
        if counts.any():
            yield KappaView(
                first=first,
                second=second,
                kappa=kappa_of(counts),
                agreed=float(np.trace(counts) / counts.sum()),
                comparisons=int(counts.sum()),
            )


def _preferred(difference: Floats) -> Integers:
    """0 for the second, 1 for a tie, 2 for the first; -1 where one has no score."""
    missing = np.isnan(difference)
    known = np.where(missing, 0.0, difference)
    sign = np.where(np.abs(known) < CLOSE, 0, np.sign(known)).astype(np.int64)
    return np.asarray(np.where(missing, -1, sign + 1))


def _judge(
    sums: Judgements, court: Court, judge: Variant, given: Mapping[str, Floats], chars: Floats
) -> JudgeTrustView:
    flips = sums.flips[judge.label]
    return JudgeTrustView(
        label=judge.label,
        flip_rate=_estimate(flip_rate(flips.flipped, flips.pairs)),
        first_preferred=flips.first_won / flips.flipped if flips.flipped else None,
        length_slope=_estimate(length_slope(given[judge.label], chars)),
        self_preference=_estimate(_self_preference(court, judge, given)),
        canaries=sums.canaries[judge.label],
        fooled=sums.fooled[judge.label],
    )


def _self_preference(court: Court, judge: Variant, given: Mapping[str, Floats]) -> Estimate | None:
    """By the model that both are: other likenesses cannot be told from a name."""
    others = [table for label, table in given.items() if label != judge.label]
    own = np.zeros(given[judge.label].shape[1], dtype=bool)
    for place, variant in enumerate(court.contestants):
        own[place] = variant.ref == judge.ref
    if not others or not own.any() or own.all():
        return None
    panel = _mean(np.stack(others, axis=2), axis=2)
    mine = given[judge.label]
    return self_preference(
        *(_mean(table[:, side], axis=1) for table in (mine, panel) for side in (own, ~own))
    )


def _mean(values: Floats, axis: int) -> Floats:
    """The mean of what is there, NaN where nothing is."""
    count = (~np.isnan(values)).sum(axis=axis)
    total = np.nansum(values, axis=axis)
    mean = np.divide(total, count, out=np.full(total.shape, np.nan), where=count > 0)
    return np.asarray(mean, dtype=float)


def _duel(sums: Judgements, labels: Sequence[str], scores: Floats) -> DuelView | None:
    """The blend against whichever source has the highest mean score."""
    blend = synthesis_label(1)
    sources = [label for label in labels if label != blend and not is_without(label)]
    means = dict(zip(labels, _mean(scores, axis=0).tolist(), strict=True))
    rated = [label for label in sources if not np.isnan(means[label])]
    if blend not in labels or not rated:
        return None
    best = max(rated, key=lambda label: means[label])
    [test] = paired_tests((blend, best), _columns(labels, scores, blend, best), margin=MARGIN)
    wins, ties, losses = _outcomes(sums, blend, best, _columns(labels, scores, blend, best))
    return DuelView(
        best=best,
        prompts=test.prompts,
        wins=wins,
        ties=ties,
        losses=losses,
        win_share=_estimate(win_share(wins + ties / 2, wins + ties + losses)),
        difference=_difference(test),
        p=test.p,
        contributions=list(_contributions(labels, scores)),
    )


def _columns(labels: Sequence[str], scores: Floats, *wanted: str) -> Floats:
    return scores[:, [labels.index(label) for label in wanted]]


def _outcomes(sums: Judgements, blend: str, best: str, scores: Floats) -> tuple[int, int, int]:
    """How often the blend won, tied and lost: as the two were compared, or as they were scored."""
    met = sums.meetings
    leads = [
        share - 0.5 if first == blend else 0.5 - share
        for first, second, share in zip(met.firsts, met.seconds, met.shares, strict=True)
        if {first, second} == {blend, best}
    ]
    difference = np.array(leads) if len(met.shares) else scores[:, 0] - scores[:, 1]
    said = _preferred(difference)
    return tuple(int((said == which).sum()) for which in (2, 1, 0))  # type: ignore[return-value]


def _contributions(labels: Sequence[str], scores: Floats) -> Iterator[ContributionView]:
    blend = synthesis_label(1)
    for label in labels:
        without = without_label(label)
        if without in labels:
            pair = _columns(labels, scores, blend, without)
            [test] = paired_tests((blend, without), pair, margin=MARGIN)
            difference = _difference(test)
            if difference is not None:
                yield ContributionView(label=label, difference=difference)


def _difference(test: PairedTest) -> EstimateView | None:
    if test.difference is None:
        return None
    return EstimateView(value=test.difference, low=test.low, high=test.high, prompts=test.prompts)


def _estimate(found: Estimate | None) -> EstimateView | None:
    if found is None:
        return None
    return EstimateView(value=found.value, low=found.low, high=found.high, prompts=found.count)
