"""What tokens cost: exact integer rates, and the two questions that are asked of them.

A rate is in micro-dollars per million tokens, as prices are quoted; that is the same as
picodollars per token, so a cost is a sum of products and one division by a thousand, rounded
up once.
"""

from collections.abc import Iterable
from copy import copy
from dataclasses import dataclass
from decimal import ROUND_CEILING, ROUND_HALF_EVEN, Decimal
from typing import NamedTuple

from typing_extensions import override

from app.domain.completion import Usage
from app.domain.money import NANOS_PER_DOLLAR, ceil_div

MICROS_PER_DOLLAR = 1_000_000
_PICOS_PER_NANO = 1000
_WHOLE = 100  # percent
VERSION_CHARS_MAX = 100  # as much as the column holds
#: Finer than anybody quotes, and coarser than the noise of a price that was once a float.
_QUOTED = Decimal("1e-9")
#: No single call costs more than the largest budget a batch may have, whatever a provider says.
COST_NANOS_MAX = 1_000_000 * NANOS_PER_DOLLAR


def rate_of(dollars: Decimal) -> int:
    """Micro-dollars per million tokens, from dollars per million, rounded up.

    Raises:
        ValueError: the price is negative or no finite number.
    """
    if not dollars.is_finite() or dollars < 0:
        raise ValueError("a price is a finite amount, and never negative")
    quoted = dollars.quantize(_QUOTED, ROUND_HALF_EVEN)
    return int((quoted * MICROS_PER_DOLLAR).to_integral_value(ROUND_CEILING))


class Rates(NamedTuple):
    """Micro-dollars per million tokens, by what a token was for."""

    input: int
    cache_read: int
    cache_write: int
    output: int
    reasoning: int


@dataclass(frozen=True, slots=True)
class Band:
    """Rates for requests of more than `over_tokens` input tokens: all of their tokens."""

    over_tokens: int
    rates: Rates


class Price:
    """What a model costs just now, and at most in the next days.

    Args:
        bands: rates by the size of the request; the first is for any size.
        worst_input: the dearest rate an input token may cost, cache writes and every band
            included, in micro-dollars per million.
        worst_output: the same of an output token.
        version: where the price is from, so that an amount can be followed back to it.
        request_nanos: nanodollars charged per request, whatever its size.
    """

    __slots__ = (
        "_bands",
        "_flat",
        "_picos_per_nano",
        "_request_picos",
        "_times",
        "_worst_input",
        "_worst_output",
        "version",
    )

    def __init__(
        self,
        bands: Iterable[Band],
        *,
        worst_input: int,
        worst_output: int,
        version: str,
        request_nanos: int = 0,
    ) -> None:
        by_size = sorted(bands, key=lambda band: band.over_tokens, reverse=True)
        self._bands = tuple(by_size)
        self._flat = by_size[0].rates if len(by_size) == 1 else None
        self._worst_input = worst_input
        self._worst_output = worst_output
        self._request_picos = request_nanos * _PICOS_PER_NANO
        self.version = version
        # Nanodollars are picodollars times the one, divided by the other: so a margin is exact,
        # and a cost is rounded once.
        self._times, self._picos_per_nano = 1, _PICOS_PER_NANO

    def with_margin(self, percent: int) -> "Price":
        """The same price with so many percent put on it, which its version says."""
        made = copy(self)
        made._times = self._times * (_WHOLE + percent)  # noqa: SLF001 - it is one of us
        made._picos_per_nano = self._picos_per_nano * _WHOLE  # noqa: SLF001
        added = f" +{percent}%"
        made.version = self.version[: VERSION_CHARS_MAX - len(added)] + added
        return made

    def cost_nanos(self, usage: Usage) -> int:
        """What a completion that used so many tokens costs, in nanodollars, rounded up.

        Never negative: a provider that counts more cached tokens than tokens in all, or less
        than none, earns nobody a credit.
        """
        rates = self._flat or self._rates_for(usage.input_tokens)
        cache_read, cache_write = usage.cache_read_tokens, usage.cache_write_tokens
        fresh = usage.input_tokens - cache_read - cache_write
        reasoning = usage.reasoning_tokens
        spoken = usage.output_tokens - reasoning
        if fresh < 0 or spoken < 0 or cache_read < 0 or cache_write < 0 or reasoning < 0:
            fresh, spoken = max(fresh, 0), max(spoken, 0)
            cache_read, cache_write = max(cache_read, 0), max(cache_write, 0)
            reasoning = max(reasoning, 0)
        picos = (
            fresh * rates.input
            + cache_read * rates.cache_read
            + cache_write * rates.cache_write
            + spoken * rates.output
            + reasoning * rates.reasoning
            + self._request_picos
        )
        return min(ceil_div(picos * self._times, self._picos_per_nano), COST_NANOS_MAX)

    def worst_nanos(
        self, input_tokens_max: int, output_tokens_max: int, *, requests: int = 1
    ) -> int:
        """The most that so many calls, all within these bounds together, can cost, in nanodollars.

        Each call is rounded up on its own, which is at most a nanodollar more for each but one.
        """
        picos = (
            input_tokens_max * self._worst_input
            + output_tokens_max * self._worst_output
            + requests * self._request_picos
        )
        nanos = ceil_div(picos * self._times, self._picos_per_nano) + max(requests - 1, 0)
        return min(nanos, requests * COST_NANOS_MAX)

    @property
    def rates(self) -> Rates:
        """What a small request pays now, to be shown; with a margin, rounded up."""
        whole = self._picos_per_nano // _PICOS_PER_NANO
        return Rates(*(ceil_div(rate * self._times, whole) for rate in self._rates_for(0)))

    def _rates_for(self, input_tokens: int) -> Rates:
        for band in self._bands:
            if input_tokens > band.over_tokens:
                return band.rates
        return self._bands[-1].rates

    @override
    def __repr__(self) -> str:
        return f"Price({self.version!r})"


@dataclass(frozen=True, slots=True)
class ListedPrice:
    """A flat price that a provider brings along, in micro-dollars per million tokens."""

    input_micros: int
    output_micros: int

    def __post_init__(self) -> None:
        """Refuse what would earn credit.

        Raises:
            ValueError: a price is negative.
        """
        if self.input_micros < 0 or self.output_micros < 0:
            raise ValueError("a price is never negative")

    def as_price(self, version: str) -> Price:
        """The same, to be asked for costs."""
        rates = Rates(
            self.input_micros,
            self.input_micros,
            self.input_micros,
            self.output_micros,
            self.output_micros,
        )
        return Price(
            [Band(0, rates)],
            worst_input=self.input_micros,
            worst_output=self.output_micros,
            version=version,
        )
