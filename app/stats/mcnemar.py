"""Whether two shares differ that were counted on the same prompts."""

from math import exp, fsum, lgamma, log


def mcnemar(gained: int, lost: int) -> float:
    """The two-sided p of no difference, where so many prompts went one way and the other.

    Prompts on which both did alike say nothing. Exact: twice the lesser tail of a fair coin's
    `gained + lost` throws (Q. McNemar, Psychometrika 12 (1947), 153-157; the binomial in place of
    its normal approximation, which needs many).

    Raises:
        ValueError: a count is negative.
    """
    if min(gained, lost) < 0:
        raise ValueError("counts are not negative")
    throws, fewer = gained + lost, min(gained, lost)
    tail = fsum(
        exp(lgamma(throws + 1) - lgamma(heads + 1) - lgamma(throws - heads + 1) - throws * log(2))
        for heads in range(fewer + 1)
    )
    return min(1.0, 2 * tail)
