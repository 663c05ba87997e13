"""The numbers of a comparison as a person reads them, the same wherever they are shown."""

from collections.abc import Callable, Mapping

from app.reports import figures
from app.reports.against_views import AgainstRow
from app.reports.judged_views import EstimateView

Cell = Callable[[AgainstRow], str]
#: How good the two are, on the prompts that both have a score on.
SCORES: Mapping[str, Cell] = {
    "score": lambda row: figures.number(row.score),
    "other": lambda row: figures.number(row.against_score),
    "difference [95 %]": lambda row: figures.difference(row.test),
    "p": lambda row: figures.chance(row.test.p_adjusted if row.test else None),
    "it is": lambda row: row.test.finding if row.test else figures.NOTHING,
    "prompts": lambda row: str(row.test.prompts if row.test else 0),
}
#: How often they answered, for what and how fast, on the jobs that both asked to the end.
ANSWERS: Mapping[str, Cell] = {
    "asked": lambda row: str(row.asked),
    "answered": lambda row: str(row.answered),
    "other": lambda row: str(row.against_answered),
    "gained": lambda row: str(row.gained),
    "lost": lambda row: str(row.lost),
    "p": lambda row: figures.chance(row.p_answered_adjusted),
    "cost of an answer": lambda row: figures.more_money(_value(row.cost_nanos)),
    "latency": lambda row: figures.more_time(_value(row.latency_ms)),
}


def _value(found: EstimateView | None) -> float | None:
    return None if found is None else found.value
