"""What an account pays: its own prices first, and a margin on what is paid with credits."""

from app.billing.pricing import ListedPrice, register_listed
from app.billing.rates import VERSION_CHARS_MAX
from app.billing.terms import LIST_TERMS, Terms
from app.domain.completion import Usage
from app.domain.plan import OwnPrice
from app.domain.states import Billed

USAGE = Usage(input_tokens=1000, cache_read_tokens=400, output_tokens=10)
OWN = OwnPrice("acme", "a", "byok", 1_000_000, 5_000_000, 100_000)
register_listed("acme", {"a": ListedPrice(2_000_000, 2_000_000)}, version="7")


def cost(terms: Terms, billed: str = Billed.BYOK) -> int:
    price = terms.price_of("acme", "a", billed)
    assert price is not None
    return price.cost_nanos(USAGE)


def test_without_terms_the_list_s_price_is_paid() -> None:
    assert cost(LIST_TERMS) == 1010 * 2000
    assert cost(LIST_TERMS, Billed.CREDITS) == 1010 * 2000
    assert LIST_TERMS.price_of("acme", "b") is None


def test_an_own_price_takes_its_place_for_calls_that_are_so_billed() -> None:
    terms = Terms([OWN])
    assert cost(terms) == 600 * 1000 + 400 * 100 + 10 * 5000
    assert cost(terms, Billed.CREDITS) == 1010 * 2000


def test_a_model_of_no_known_price_has_one_then() -> None:
    terms = Terms([OwnPrice("custom:x", "m", "byok", 1, 1)])
    assert terms.price_of("custom:x", "m") is not None
    assert terms.price_of("custom:x", "m", Billed.CREDITS) is None


def test_b5_a_version_of_an_own_price_says_all_of_it() -> None:
    price = Terms([OWN]).price_of("acme", "a")
    assert price is not None
    assert price.version == "own 1000000/100000/5000000 micro-dollars a million"


def test_a_margin_is_put_on_credits_alone() -> None:
    terms = Terms((), 25)
    assert cost(terms) == 1010 * 2000
    assert cost(terms, Billed.CREDITS) == 1010 * 2500


def test_b6_a_margin_is_exact_and_a_cost_is_rounded_once() -> None:
    terms = Terms([OwnPrice("acme", "tiny", "credits", 1, 1)], 33)
    price = terms.price_of("acme", "tiny", Billed.CREDITS)
    assert price is not None
    # 1 picodollar a token: 100,000 tokens are 100 nanodollars, and 133 with the margin.
    assert price.cost_nanos(Usage(input_tokens=100_000)) == 133
    assert price.cost_nanos(Usage(input_tokens=100_001)) == 134
    assert price.worst_nanos(100_000, 0) == 133


def test_the_worst_case_has_the_margin_too() -> None:
    price = Terms((), 50).price_of("acme", "a", Billed.CREDITS)
    assert price is not None
    assert price.worst_nanos(1000, 10) == 1010 * 3000
    assert price.worst_nanos(1000, 10) >= price.cost_nanos(USAGE)


def test_b5_a_version_says_which_margin_there_was() -> None:
    price = Terms((), 25).price_of("acme", "a", Billed.CREDITS)
    assert price is not None
    assert price.version == "acme 7 a +25%"
    long = price.with_margin(10)
    long.version = "x" * VERSION_CHARS_MAX
    assert long.with_margin(5).version.endswith("x +5%")
    assert len(long.with_margin(5).version) == VERSION_CHARS_MAX


def test_a_margin_is_in_the_rates_that_are_shown() -> None:
    price = Terms((), 25).price_of("acme", "a", Billed.CREDITS)
    assert price is not None
    assert price.rates.input == 2_500_000
