"""The guard ends those children that were started and had not ended."""

from workers.supervisor.guard import Guard, left_behind


def test_it_knows_who_is_left() -> None:
    assert left_behind(["+1\n", "+2\n", "-1\n", "+3\n", "-3\n"]) == {2}


def test_a_number_that_is_used_again_counts_again() -> None:
    assert left_behind(["+1\n", "-1\n", "+1\n"]) == {1}


def test_a_guard_that_was_not_started_does_nothing() -> None:
    guard = Guard()
    guard.watch(1)
    guard.forget(1)
