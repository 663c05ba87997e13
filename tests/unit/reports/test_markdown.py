"""A report for a pull request, whose table no label can break."""

import re

import pytest

from app.reports.markdown import as_markdown, code, text
from tests.factories.reports import make_failure, make_report, make_row

#: What a person, or a model, may call a model so that the page does something.
HOSTILE = (
    "a | b",
    "a\n| --- |",
    "a\\|b",
    "`` ` ``",
    "![x](https://collect.example/beacon.png)",
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "@everyone #1 https://www.example",
    "\x1b[2J\x1b]8;;https://x.example\x07",
    "",
)


def rows_of(markdown: str) -> list[list[str]]:
    """The cells of every row of the leaderboard, as a reader of tables finds them."""
    table = markdown.split("\n\n")[2].splitlines()
    return [re.split(r"(?<!\\)\|", line)[1:-1] for line in table]


def test_it_begins_with_the_answer_and_has_the_table() -> None:
    page = as_markdown(make_report())
    assert page.startswith("### nightly\n\n`acme/a` has the best mean score, 8.00 [7.50, 8.50]")
    assert "1.00 points more than `acme/b` (p = 0.002)" in page
    head, rule, first, second = rows_of(page)
    assert [cell.strip() for cell in head][:4] == ["#", "model", "score [95 %]", "wins [95 %]"]
    assert len({len(cells) for cells in (head, rule, first, second)}) == 1
    assert "$0.000125" in first[-1]


@pytest.mark.parametrize("label", HOSTILE)
def test_e2_a_label_neither_breaks_the_table_nor_comes_alive(label: str) -> None:
    view = make_report(make_row(label, 1, 8.0), make_row("acme/b", 2, 7.0))
    rows = rows_of(as_markdown(view))
    assert len(rows) == 4
    assert len({len(cells) for cells in rows}) == 1
    cell = rows[2][1].strip()
    fence = re.match("`+", cell).group()
    assert cell.endswith(fence)
    assert fence not in cell[len(fence) : -len(fence)]


@pytest.mark.parametrize("words", HOSTILE)
def test_e2_words_in_a_note_are_words(words: str) -> None:
    shown = text(f"It says: {words}")
    assert "\n" not in shown
    assert "\x1b" not in shown
    assert not re.search(r"(?<!\\)[<|`\[](?!!--)", shown)
    assert not re.search(r"@\w|https?://|\bwww\.", shown)


def test_code_is_fenced_by_more_ticks_than_it_has() -> None:
    assert code("a``b") == "``` a``b ```"
    assert code("plain") == "`plain`"


def test_failures_are_told_by_cause() -> None:
    page = as_markdown(make_report(failures=[make_failure("acme/b", "rate_limited")]))
    assert "| `acme/b` | `rate_limited` | 3 |" in page


def test_notes_are_a_list() -> None:
    assert as_markdown(make_report(notes=["Keep this in mind."])).endswith(
        "\n- Keep this in mind.\n"
    )
