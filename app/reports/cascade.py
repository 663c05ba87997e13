"""What each level of a cascade decided and cost: checks, the first judge, the others."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

from app.domain.prompt import Variant
from app.domain.states import Role
from app.reports.judged_views import LevelView
from app.reports.tallies import Used

Level = Literal["checks", "judge", "panel"]


def levels_of(
    panels: Sequence[Sequence[Variant]],
    decided_by: Mapping[str, int],
    used: Mapping[tuple[str, str], Used],
) -> list[LevelView]:
    """The levels, in the order in which they are asked; none where there is no cascade.

    `panels` are the judges of each of the batch's plans; who comes first in one of them counts
    with the first ones in all.
    """
    if not decided_by:
        return []
    firsts = dict.fromkeys(judge.label for panel in panels for judge in panel[:1])
    others = dict.fromkeys(judge.label for panel in panels for judge in panel[1:])
    levels: list[tuple[Level, Iterable[str]]] = [
        ("checks", ()),
        ("judge", firsts),
        ("panel", [label for label in others if label not in firsts]),
    ]
    return [
        _level(level, decided_by.get(level, 0), [used.get((Role.JUDGE, one)) for one in group])
        for level, group in levels
    ]


def _level(level: Level, decided: int, used: Sequence[Used | None]) -> LevelView:
    known = [one for one in used if one is not None]
    unpriced = any(one.unpriced for one in known)
    return LevelView(
        level=level,
        decided=decided,
        answers=sum(one.answers for one in known),
        cost_nanos=None if unpriced else sum(one.cost_nanos for one in known),
    )
