"""Numbers of a report as a person reads them, the same wherever they are shown."""

from math import log10

from app.domain.money import nanos_to_dollars
from app.reports.judged_views import EstimateView, PairedTestView, RatingView

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


def difference(test: PairedTestView | None) -> str:
    """A difference in points, with its interval."""
    return NOTHING if test is None else _signed(test.difference, test.low, test.high)


def gained(found: EstimateView | None) -> str:
    """An estimate of a difference in points, with its interval."""
    return NOTHING if found is None else _signed(found.value, found.low, found.high)


def about_money(nanos: float | None) -> str:
    """Dollars to the third digit, for what is a mean; what is not known is never $0."""
    if nanos is None:
        return "unknown"
    digits = max(0, int(log10(abs(nanos) or 1)) - 2)
    return f"${nanos_to_dollars(int(round(abs(nanos), -digits)))}"


def more_money(nanos: float | None) -> str:
    """A difference of costs, to its third digit."""
    return NOTHING if nanos is None else f"{_sign(nanos)}{about_money(nanos)}"


def more_time(ms: float | None) -> str:
    """A difference of latencies."""
    return NOTHING if ms is None else f"{_sign(ms)}{latency(round(abs(ms)))}"


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


def _sign(value: float) -> str:
    return "-" if value < 0 else "+"


def _signed(value: float | None, low: float | None, high: float | None) -> str:
    if value is None or low is None or high is None:
        return signed(value)
    return f"{signed(value)} [{signed(low)}, {signed(high)}]"
