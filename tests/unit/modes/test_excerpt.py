"""What one model shows another is within bounds, on one line, and says what was cut."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.modes.excerpt import ANSWERS_CHARS_MAX, Excerpt, cut, cut_answers, cuts, one_line


@pytest.mark.parametrize("chars", [0, 1, 3, 10])
def test_a_cut_text_keeps_as_many_characters_as_it_may(chars: int):
    assert sum(char == "x" for char in cut("x" * 50, chars).text) == chars


@given(st.lists(st.integers(min_value=0, max_value=3 * ANSWERS_CHARS_MAX), max_size=9))
def test_j9_answers_of_any_length_are_shown_within_their_budget(lengths: list[int]):
    answers = {f"m{place}": "x" * length for place, length in enumerate(lengths)}
    shown = cut_answers(answers)

    kept = [excerpt.text.count("x") for excerpt in shown.excerpts.values()]
    assert sum(kept) <= ANSWERS_CHARS_MAX
    assert (shown.chars_max is None) == (sum(lengths) <= ANSWERS_CHARS_MAX)
    if shown.chars_max is not None:
        assert kept == [min(length, shown.chars_max) for length in lengths]


def test_what_is_recorded_of_cuts_names_only_the_texts_that_were_cut():
    shown = cut_answers({"a": "x" * 100_000, "b": "Short."})
    assert cuts(shown.excerpts, shown.chars_max) == {
        "answer_chars_max": ANSWERS_CHARS_MAX - len("Short."),
        "shortened_from": {"a": 100_000},
    }
    assert cuts({"b": Excerpt("Short.")}, None) == {}


@given(st.text())
def test_a_document_is_one_line_and_reads_as_it_was_written(text: str):
    line = one_line({"answer": text})
    assert len(line.splitlines()) == 1
    assert json.loads(line) == {"answer": text}
