"""Student's t distribution, as far as intervals need it."""

from functools import lru_cache
from math import exp, lgamma, log, log1p

_TINY = 1e-300
_CLOSE = 1e-14
_TERMS_MAX = 20_000
_HALVINGS = 60


@lru_cache(maxsize=1024)
def t_critical(freedom: int, confidence: float = 0.95) -> float:
    """How many standard errors a two-sided interval reaches from the mean.

    The t with P(|T| > t) = 1 - confidence, for `freedom` degrees of freedom, by
    P(|T| > t) = I_x(freedom/2, 1/2) with x = freedom / (freedom + t^2)
    (Abramowitz & Stegun 26.5.27 and 26.7.1), solved by halving.

    Raises:
        ValueError: there are no degrees of freedom, or the confidence is not between 0 and 1.
    """
    if freedom < 1 or not 0 < confidence < 1:
        raise ValueError("needs a degree of freedom, and a confidence between 0 and 1")
    low, high = 0.0, 1.0
    while t_outside(high, freedom) > 1 - confidence:
        high *= 2
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        if t_outside(middle, freedom) > 1 - confidence:
            low = middle
        else:
            high = middle
    return (low + high) / 2


def t_outside(t: float, freedom: int) -> float:
    """P(|T| > t)."""
    if t == 0:
        return 1.0
    square = t * t
    return _incomplete_beta(freedom / 2, 0.5, freedom / (freedom + square), square)


def _incomplete_beta(a: float, b: float, x: float, square: float) -> float:
    """I_x(a, b), the regularized incomplete beta function; `square` is t^2, so that 1 - x is exact.

    The continued fraction is DLMF 8.17.22, taken on the side where it converges fast.
    """
    y = square / (2 * a + square)
    front = exp(lgamma(a + b) - lgamma(a) - lgamma(b) + a * log1p(-y) + b * log(y))
    if x < (a + 1) / (a + b + 2):
        return front * _fraction(a, b, x) / a
    return 1 - front * _fraction(b, a, y) / b


def _fraction(a: float, b: float, x: float) -> float:
    """The continued fraction of the incomplete beta function, by the modified Lentz method."""
    c, d = 1.0, 1 / _off_zero(1 - (a + b) * x / (a + 1))
    value = d
    for term in range(1, _TERMS_MAX):
        even = term * (b - term) * x / ((a + 2 * term - 1) * (a + 2 * term))
        odd = -(a + term) * (a + b + term) * x / ((a + 2 * term) * (a + 2 * term + 1))
        step = 1.0
        for numerator in (even, odd):
            d = 1 / _off_zero(1 + numerator * d)
            c = _off_zero(1 + numerator / c)
            step = c * d
            value *= step
        if abs(step - 1) < _CLOSE:
            break
    return value


def _off_zero(value: float) -> float:
    return value if abs(value) > _TINY else _TINY
