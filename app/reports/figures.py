"""Numbers of a report as a person reads them, the same wherever they are shown."""

from app.domain.money import nanos_to_dollars
from app.reports.judged_views import EstimateView, RatingView

NOTHING = "–"  # noqa: RUF001 - a dash, for nothing
_MS_PER_S = 1000
_SMALL_P = 0.001


def money(nanos: int | None) -> str:
    """Dollars, exactly; what is not known is never $0."""
    return "unknown" if nanos is None else f"${nanos_to_dollars(nanos)}"


def latency(ms: int | None) -> str:
    """A latency, in milliseconds or seconds."""
    if ms is None:
        return NOTHING
    return f"{ms} ms" if ms < _MS_PER_S else f"{ms / _MS_PER_S:.1f} s"


def points(found: EstimateView | None) -> str:
    """A mean score with its interval."""
    return NOTHING if found is None else f"{found.value:.2f}{_between(found, 1, 2)}"


def share(found: EstimateView | None) -> str:
    """A share in percent, with its interval."""
    return NOTHING if found is None else f"{100 * found.value:.0f} %{_between(found, 100, 0)}"


def rating(found: RatingView | None) -> str:
    """A rating with its interval."""
    return NOTHING if found is None else f"{found.value:.0f} [{found.low:.0f}, {found.high:.0f}]"


def signed(found: float | None) -> str:
    """A difference in points."""
    return NOTHING if found is None else f"{found:+.2f}"


def chance(p: float | None) -> str:
    """A p-value."""
    if p is None:
        return NOTHING
    return f"< {_SMALL_P}" if p < _SMALL_P else f"{p:.3f}"


def number(found: float | None) -> str:
    """Any other number."""
    return NOTHING if found is None else f"{found:.2f}"


def _between(found: EstimateView, scale: int, digits: int) -> str:
    if found.low is None or found.high is None:
        return ""
    return f" [{scale * found.low:.{digits}f}, {scale * found.high:.{digits}f}]"
