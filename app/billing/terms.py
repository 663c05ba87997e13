"""What an account pays: its own prices before the list's, and the operator's margin.

They are fixed in a batch's plan when it is submitted, so that every call of it is bounded,
reserved and charged by the same ones, whatever is set meanwhile.
"""

from collections.abc import Iterable
from functools import lru_cache

from app.billing.pricing import price_of
from app.billing.rates import Band, Price, Rates
from app.domain.plan import OwnPrice
from app.domain.states import Billed


class Terms:
    """Prices as one batch pays them.

    Args:
        prices: the account's own.
        margin_percent: put on calls that are paid with credits.
    """

    __slots__ = ("_margin_percent", "_own")

    def __init__(self, prices: Iterable[OwnPrice] = (), margin_percent: int = 0) -> None:
        self._own = {(one.provider, one.model, one.billed): as_price(one) for one in prices}
        self._margin_percent = margin_percent

    def price_of(self, provider: str, model: str, billed: str = Billed.BYOK) -> Price | None:
        """The price of a model now, by who is charged; None if it is not known."""
        own = self._own.get((provider, model, billed)) if self._own else None
        price = own or price_of(provider, model)
        if price is None or billed != Billed.CREDITS or self._margin_percent == 0:
            return price
        return _with_margin(price, self._margin_percent)


#: The list's prices, and no margin.
LIST_TERMS = Terms()


def as_price(own: OwnPrice) -> Price:
    """An account's own price, to be asked for costs. Its version says all of it."""
    cache_read = own.input_micros if own.cache_read_micros is None else own.cache_read_micros
    rates = Rates(own.input_micros, cache_read, own.input_micros, own.output_micros,
                  own.output_micros)  # fmt: skip
    return Price(
        [Band(0, rates)],
        worst_input=max(own.input_micros, cache_read),
        worst_output=own.output_micros,
        version=f"own {own.input_micros}/{cache_read}/{own.output_micros} micro-dollars a million",
    )


# By the price itself: the list's are kept, and the same objects again and again.
@lru_cache(maxsize=4096)
def _with_margin(price: Price, percent: int) -> Price:
    return price.with_margin(percent)
