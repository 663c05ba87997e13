"""What is shown can be read, and cannot speak to the terminal."""

import pytest

from api.cli.output import (
    about_dollars,
    cell,
    dollars,
    milliseconds,
    plain,
    short,
    show_table,
    span,
)


def test_what_a_model_wrote_has_no_power_over_the_terminal() -> None:
    assert plain("a\x1b[31mred\x07\x9b2J\nb") == "a [31mred  2J b"


def test_markup_in_an_answer_is_only_text(capsys: pytest.CaptureFixture[str]) -> None:
    show_table(("answer",), [("[red]not red[/red] [/]",)])
    assert "[red]not red[/red] [/]" in capsys.readouterr().out


def test_a_long_text_is_shortened() -> None:
    assert short("x" * 100, 10) == "x" * 9 + "…"
    assert short("short", 10) == "short"
    assert short(None) is None


@pytest.mark.parametrize(
    ("nanos", "shown"),
    [(0, "$0.00"), (412_000, "$0.000412"), (12_000_000_000, "$12.00"), (None, "unknown")],
)
def test_a_price_nobody_knows_is_never_nothing(nanos: int | None, shown: str) -> None:
    assert dollars(nanos) == shown


def test_money_that_still_changes_is_rounded() -> None:
    assert about_dollars(1_234_567_890) == "$1.2346"
    assert about_dollars(40_000) == "$0.0000"
    assert about_dollars(99_960_000) == "$0.1000"


def test_times_are_shown_in_the_unit_that_fits() -> None:
    assert [milliseconds(80), milliseconds(2_340), milliseconds(None)] == ["80 ms", "2.3 s", None]
    assert [span(5), span(150), span(9_000)] == ["5 s", "2 min", "2.5 h"]


def test_nothing_is_shown_as_nothing() -> None:
    assert cell(None) != "None"
