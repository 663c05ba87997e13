"""Money is integer nanodollars: 10^9 to the dollar, 10^7 to the credit.

Amounts never pass through a float; what a person reads is formatted from the integer.
"""

from decimal import ROUND_CEILING, Decimal

NANOS_PER_DOLLAR = 1_000_000_000
NANOS_PER_CREDIT = 10_000_000
#: The most any amount may be, half a BigInteger, so that two can always be added.
NANOS_MAX = 2**62


def dollars_to_nanos(dollars: Decimal | float | str) -> int:
    """Nanodollars for an amount in dollars, rounded up to the next whole one.

    Raises:
        ValueError: the amount is not a finite number, or is out of range.
    """
    try:
        nanos = (Decimal(str(dollars)) * NANOS_PER_DOLLAR).to_integral_value(ROUND_CEILING)
    except ArithmeticError as error:
        raise ValueError("not a finite amount of dollars") from error
    if not nanos.is_finite() or abs(nanos) > NANOS_MAX:
        raise ValueError("not an amount of dollars that can be counted")
    return int(nanos)


def nanos_to_dollars(nanos: int) -> str:
    """An exact decimal string, e.g. `0.000412`, with two decimals at least."""
    text = f"{Decimal(nanos) / NANOS_PER_DOLLAR:f}"
    whole, _, fraction = text.partition(".")
    return f"{whole}.{fraction.rstrip('0').ljust(2, '0')}"


def ceil_div(numerator: int, denominator: int) -> int:
    """Integer division rounded up: a price is never rounded in favour of the one who pays."""
    return -(-numerator // denominator)
