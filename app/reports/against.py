"""A batch against another one, on the jobs that both have. Imports numpy: to be imported late."""

from array import array
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from sqlmodel import Session

from app.domain.errors import InvalidRequestError
from app.domain.plan import Plan
from app.domain.prompt import Variant
from app.models import Batch
from app.modes.blend_plan import is_without
from app.providers.registry import SIMULATED
from app.reports.against_notes import notes_on
from app.reports.against_views import AgainstRow, AgainstView, SideView
from app.reports.cells import Cells, cells_of
from app.reports.contestants import contestants_of, judges_of
from app.reports.judged import MARGIN
from app.reports.judged_views import EstimateView, PairedTestView
from app.reports.owned import own_batch, plan_of
from app.reports.progress import job_counts
from app.stats.battles import Floats, Integers
from app.stats.intervals import mean_by_prompt
from app.stats.mcnemar import mcnemar
from app.stats.paired import PairedTest, holm, pairs_tested


@dataclass(frozen=True, slots=True)
class Side:
    """One of two batches, with everything of it that can be paired."""

    batch: Batch
    plan: Plan
    cells: Cells

    @classmethod
    def read(cls, session: Session, batch: Batch) -> "Side":
        """Read it all.

        Raises:
            GoneError: its text was destroyed.
        """
        return cls(batch, plan_of(session, batch.id), cells_of(session, batch))

    @property
    def contestants(self) -> dict[str, Variant]:
        """Who takes part, by label; a blend made without one of its answers does not."""
        found = contestants_of(self.plan)
        return {one.label: one for one in found if not is_without(one.label)}


Sides = tuple[Side, Side]


def gather_both(session: Session, account_id: str, batch_id: str, against_id: str) -> Sides:
    """All that a comparison takes from the store.

    Raises:
        InvalidRequestError: it is one batch twice.
        NotFoundError: the account has no such batch.
        GoneError: a text was destroyed.
    """
    if batch_id == against_id:
        raise InvalidRequestError("against: is the same batch", param="against")
    both = [own_batch(session, account_id, id_) for id_ in (batch_id, against_id)]
    here, there = (Side.read(session, batch) for batch in both)
    return here, there


def lay_out_both(sides: Sides) -> AgainstView:
    """The comparison of what was gathered."""
    here, there = sides
    pairs = _labels(list(here.contestants), list(there.contestants))
    places = _shared_jobs(here.cells, there.cells)
    shared = len(places[0])
    view = AgainstView(
        batch=_side(here),
        against=_side(there),
        jobs=shared,
        only_here=len(here.cells.custom_ids) - shared,
        only_there=len(there.cells.custom_ids) - shared,
        other_prompts=sum(
            here.cells.prompts[one] != there.cells.prompts[other]
            for one, other in zip(*places, strict=True)
        ),
        rows=_rows(sides, pairs, places),
        labels_only_here=[one for one in here.contestants if one not in dict(pairs)],
        labels_only_there=[
            one for one in there.contestants if one not in {other for _, other in pairs}
        ],
        notes=[],
    )
    return notes_on(view, here.plan, there.plan)


def _labels(here: Sequence[str], there: Sequence[str]) -> list[tuple[str, str]]:
    """Who is compared: the same label, and where each has one more, these two."""
    pairs = [(label, label) for label in here if label in there]
    left = [label for label in here if label not in there]
    right = [label for label in there if label not in here]
    return [*pairs, (left[0], right[0])] if len(left) == len(right) == 1 else pairs


def _shared_jobs(here: Cells, there: Cells) -> tuple[Integers, Integers]:
    """The places in both of every `custom_id` that both have, in the order of the first."""
    places = {name: place for place, name in enumerate(there.custom_ids)}
    found = [(place, places[name]) for place, name in enumerate(here.custom_ids) if name in places]
    both = np.array(found, dtype=np.int64).reshape(-1, 2)
    return both[:, 0], both[:, 1]


def _rows(
    sides: Sides, pairs: Sequence[tuple[str, str]], places: tuple[Integers, Integers]
) -> list[AgainstRow]:
    facing = [_Facing(sides, pair, places) for pair in pairs]
    scores = [one.of("scores") for one in facing]
    tests = pairs_tested(
        [(pair, here - there) for pair, (here, there) in zip(pairs, scores, strict=True)],
        margin=MARGIN,
    )
    counts = [_counts(*one.of("answered")) for one in facing]
    chances = [mcnemar(one["gained"], one["lost"]) for one in counts]
    return [
        AgainstRow(
            label=one.pair[0],
            against_label=one.pair[1],
            model=str(sides[0].contestants[one.pair[0]].ref),
            against_model=str(sides[1].contestants[one.pair[1]].ref),
            **_scored(test, *score),
            **count,
            p_answered=p,
            p_answered_adjusted=p if adjusted is None else adjusted,
            cost_nanos=_difference(*one.of("costs")),
            latency_ms=_difference(*one.of("latencies")),
        )
        for one, test, score, count, p, adjusted in zip(
            facing, tests, scores, counts, chances, holm(chances), strict=True
        )
    ]


class _Facing:
    """Two contestants on the jobs that both batches have."""

    def __init__(
        self, sides: Sides, pair: tuple[str, str], places: tuple[Integers, Integers]
    ) -> None:
        self.pair = pair
        self._sides, self._places = sides, places

    def of(self, name: str) -> tuple[Floats, Floats]:
        """A column of each, NaN where it knows nothing."""
        here, there = (
            _column(getattr(side.cells, name), label, places)
            for side, label, places in zip(self._sides, self.pair, self._places, strict=True)
        )
        return here, there


def _column(columns: "Mapping[str, array[float]]", label: str, places: Integers) -> Floats:
    if label not in columns:
        return np.full(len(places), np.nan)
    return np.asarray(columns[label], dtype=float)[places]


def _scored(test: PairedTest, here: Floats, there: Floats) -> dict[str, Any]:
    both = ~np.isnan(here - there)
    if not both.any():
        return {"score": None, "against_score": None, "test": None}
    return {
        "score": float(here[both].mean()),
        "against_score": float(there[both].mean()),
        "test": PairedTestView(**asdict(test)),
    }


def _counts(here: Floats, there: Floats) -> dict[str, int]:
    both = ~np.isnan(here - there)
    mine, other = here[both] > 0, there[both] > 0
    return {
        "asked": int(both.sum()),
        "answered": int(mine.sum()),
        "against_answered": int(other.sum()),
        "gained": int((mine & ~other).sum()),
        "lost": int((~mine & other).sum()),
    }


def _difference(here: Floats, there: Floats) -> EstimateView | None:
    difference = here - there
    known = difference[~np.isnan(difference)].tolist()
    found = mean_by_prompt((str(place), value) for place, value in enumerate(known))
    if found is None:
        return None
    return EstimateView(value=found.value, low=found.low, high=found.high, prompts=found.count)


def _side(side: Side) -> SideView:
    batch = side.batch
    takes_part = (*side.contestants.values(), *judges_of(side.plan))
    scored = [np.asarray(column) for column in side.cells.scores.values()]
    return SideView(
        batch_id=batch.id,
        name=batch.name,
        mode=batch.mode,
        state=batch.state,
        simulated=any(one.ref.provider == SIMULATED for one in takes_part),
        jobs=job_counts(batch),
        judged=int((~np.isnan(np.stack(scored))).any(axis=0).sum()) if scored else 0,
        spent_nanos=batch.spent_nanos,
    )
