"""The page of what may go wrong is whole, and says of every case which test shows it."""

import pytest

from tests.architecture.cases import IDS, PAGE, ids_of, in_words, shown_by, written

TEXT = PAGE.read_text()


def test_every_case_has_a_line() -> None:
    assert [case for case in IDS if f"\n| {case} | " not in TEXT] == []


def test_every_case_is_shown_by_a_test_or_answered_in_words() -> None:
    assert [case for case in IDS if not shown_by()[case] and case not in in_words(TEXT)] == []


def test_the_page_names_the_tests_that_there_are() -> None:
    assert written(TEXT) == TEXT, "run `make cases`"


@pytest.mark.parametrize(
    ("name", "cases"),
    [
        ("test_q1_it_goes_on", ["Q1"]),
        ("test_k9_b10_after_a_purge", ["K9", "B10"]),
        ("test_i1_to_i5_a_job", ["I1", "I2", "I3", "I4", "I5"]),
        ("test_q99_it_goes_on_to_the_end", []),
        ("test_it_is_q1_of_four", []),
    ],
)
def test_a_tests_name_says_its_cases(name: str, cases: list[str]) -> None:
    assert list(ids_of(name)) == cases
