"""The leaderboard of a report as CSV, a row for each contestant."""

import csv
import io
from collections.abc import Mapping, Sequence
from operator import attrgetter

from app.reports.flat import safe_cell
from app.reports.report_views import ReportView

#: A column's name, and what of a row is in it.
_COLUMNS = {
    **{name: name for name in ("rank", "label", "model", "answered", "refused", "failed")},
    **{name: name for name in ("missing", "coverage")},
    "score": "score.value",
    "score_low": "score.low",
    "score_high": "score.high",
    "prompts": "score.prompts",
    "win_share": "win_share.value",
    "win_share_low": "win_share.low",
    "win_share_high": "win_share.high",
    "rating": "rating.value",
    "rating_low": "rating.low",
    "rating_high": "rating.high",
    **{name: name for name in ("undecided", "self_judged", "addresses_judge")},
    **{name: name for name in ("latency_p50_ms", "latency_p95_ms", "input_tokens")},
    **{name: name for name in ("output_tokens", "cost_nanos", "cost_per_answer_nanos")},
    "unpriced_answers": "unpriced_answers",
}


def as_csv(view: ReportView) -> str:
    """The leaderboard; what is not known is empty, and no text is taken for a formula."""
    return table_of(view.leaderboard, _COLUMNS)


def table_of(rows: Sequence[object], columns: Mapping[str, str]) -> str:
    """Rows as CSV, with the attribute that each column's path names."""
    out = io.StringIO()
    writer = csv.writer(out, quoting=csv.QUOTE_ALL)
    writer.writerow(columns)
    writer.writerows([safe_cell(_value(row, path)) for path in columns.values()] for row in rows)
    return out.getvalue()


def _value(row: object, path: str) -> object:
    part, _, inner = path.partition(".")
    found = getattr(row, part)
    return found if found is None or not inner else attrgetter(inner)(found)
