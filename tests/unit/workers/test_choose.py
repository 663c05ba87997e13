"""Whose calls are sent next."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from app.domain.states import Billed
from app.pipeline.backlog import Entry
from workers.choose import choose


def make_entry(
    account: str = "a", batch: str = "b1", priority: int = 5, **changes: object
) -> Entry:
    """A due entry."""
    values: dict[str, object] = {
        "lane_id": f"lane-{account}",
        "model": "m",
        "batch_id": batch,
        "account_id": account,
        "provider": "simulated",
        "billed": Billed.BYOK,
        "base_url": None,
        "rpm": None,
        "tpm": None,
        "in_flight": None,
        "priority": priority,
        "interactive": False,
        "mode": "compare",
        "noted": False,
    }
    return Entry(**{**values, **changes})  # type: ignore[arg-type]


def shares(entries: list[Entry], free: int, **in_flight: int) -> Counter[str]:
    """How many slots each account is given."""
    given_out: Counter[str] = Counter()
    for entry, count in choose(entries, in_flight, {}, free, 0):
        given_out[entry.account_id] += count
    return given_out


def test_a_single_entry_gets_every_free_slot() -> None:
    entry = make_entry()
    assert choose([entry], {}, {}, 256, 16) == [(entry, 256)]


def test_two_accounts_share_equally_whatever_their_batches() -> None:
    entries = [make_entry("a", f"a{n}") for n in range(10)] + [make_entry("b", "b1")]
    assert shares(entries, 100) == {"a": 50, "b": 50}


def test_whoever_has_fewest_in_flight_gets_the_next_slot() -> None:
    entries = [make_entry("a"), make_entry("b", "b2")]
    assert shares(entries, 10, a=100, b=0) == {"b": 10}
    assert shares(entries, 10, a=4, b=0) == {"a": 3, "b": 7}


def test_a_one_call_batch_is_not_kept_waiting_by_a_large_one() -> None:
    entries = [make_entry("large", "b1"), make_entry("small", "b2")]
    assert shares(entries, 1, large=255)["small"] == 1


def test_priority_counts_within_an_account_and_not_across() -> None:
    urgent, slow = make_entry("a", "b1", priority=9), make_entry("a", "b0", priority=1)
    other = make_entry("b", "b2", priority=1)
    picks = dict(choose([slow, urgent, other], {}, {}, 20, 0))
    assert picks == {urgent: 10, other: 10}


def test_of_equal_batches_the_oldest_ends_first() -> None:
    old, new = make_entry("a", "b1"), make_entry("a", "b2")
    assert choose([new, old], {}, {}, 8, 0) == [(old, 8)]


def test_a_batchs_models_are_sent_side_by_side() -> None:
    entries = [make_entry("a", "b1", model=f"m{n}") for n in range(4)]
    assert [count for _, count in choose(entries, {}, {}, 8, 0)] == [2, 2, 2, 2]


def test_only_interactive_batches_may_use_the_reserve() -> None:
    bulk, quick = make_entry("a", "b1"), make_entry("b", "b2", interactive=True)
    assert choose([bulk], {}, {}, 0, 16) == []
    assert choose([bulk, quick], {}, {}, 0, 16) == [(quick, 16)]


@given(
    st.lists(st.tuples(st.sampled_from("abcd"), st.integers(0, 3), st.booleans()), max_size=12),
    st.dictionaries(st.sampled_from("abcd"), st.integers(0, 300)),
    st.integers(-16, 300),
    st.integers(0, 16),
)
def test_never_more_is_given_than_there_is(
    rows: list[tuple[str, int, bool]], in_flight: dict[str, int], free: int, reserve: int
) -> None:
    entries = list(
        {
            entry.key: entry
            for account, batch, quick in rows
            for entry in [make_entry(account, f"{account}{batch}{quick}", interactive=quick)]
        }.values()
    )
    picks = choose(entries, in_flight, {}, free, reserve)
    bulk = sum(count for entry, count in picks if not entry.interactive)
    assert sum(count for _, count in picks) <= max(0, free + reserve)
    assert bulk <= max(0, free)
    assert all(count > 0 for _, count in picks)
    if free > 0 and entries:
        assert picks
