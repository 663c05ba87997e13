"""A comparison of two batches in words, as Markdown, as CSV and as a page."""

import csv
import io

import msgspec
import pytest

from app.domain.plan import Plan
from app.reports.against_notes import against_in_one_sentence, notes_on
from app.reports.against_views import AgainstView
from app.reports.against_written import against_as_csv, against_as_markdown, against_as_page
from tests.factories.plans import make_judge_plan, make_plan
from tests.factories.reports import (
    make_against,
    make_against_row,
    make_side,
    make_test,
)

PLAN = make_judge_plan("acme/a", "acme/b")
HOSTILE = '=1+1 <script>"|`@you [x](https://x.example)'


def notes(view: AgainstView, here: Plan = PLAN, there: Plan = PLAN) -> list[str]:
    return notes_on(view, here, there).notes


def found(finding: str, difference: float = 0.5) -> AgainstView:
    test = make_test("acme/a", "acme/a", difference, finding=finding)
    return make_against(make_against_row("acme/a", difference, test=test))


@pytest.mark.parametrize(
    ("view", "sentence"),
    [
        (
            found("better"),
            "acme/a is better than before, by 0.50 points on 40 shared prompts (p = 0.002).",
        ),
        (
            found("worse", -0.5),
            "acme/a is worse than before, by 0.50 points on 40 shared prompts (p = 0.002).",
        ),
        (
            found("equivalent", 0.1),
            "acme/a is as good as before, within 0.5 points, on 40 shared prompts.",
        ),
        (
            found("unclear", -0.2),
            "acme/a scores 0.20 points less than before, on 40 shared prompts, which may be chance.",
        ),
        (
            make_against(make_against_row("new", against_label="old")),
            "new is better than old, by 0.50 points on 40 shared prompts (p = 0.002).",
        ),
        (
            make_against(
                make_against_row("a"),
                make_against_row("b", test=make_test("b", "b", 0.1, finding="equivalent")),
            ),
            "Of 2 models 1 is better and 1 is equivalent; a by +0.50 points (p = 0.002).",
        ),
        (
            make_against(make_against_row("a", score=None, against_score=None, test=None)),
            "40 jobs in both, and no scores to compare.",
        ),
        (make_against(jobs=0), "There is nothing to compare."),
    ],
)
def test_it_comes_to_one_sentence(view: AgainstView, sentence: str) -> None:
    assert against_in_one_sentence(view) == sentence


def test_there_is_nothing_to_say_where_everything_is_paired() -> None:
    assert notes(make_against()) == []


def test_what_cannot_be_paired_is_said() -> None:
    view = make_against(only_here=1, only_there=3, other_prompts=2, labels_only_there=["acme/c"])
    told = notes(view)
    assert told[:2] == [
        "1 job of this batch cannot be paired and is in no number.",
        "3 jobs of the other batch cannot be paired and are in no number.",
    ]
    assert told[2].startswith("On 2 of 40 jobs the two ask something else")
    assert told[3] == "Only the other batch has acme/c: compared with nobody."
    assert "no custom_id in common" in notes(make_against(jobs=0))[0]


def test_other_names_are_said_to_be_compared() -> None:
    [told] = notes(make_against(make_against_row("new", against_label="old")))
    assert told.startswith("new is compared with old")


def test_other_judges_are_another_scale() -> None:
    [told] = notes(make_against(), PLAN, make_judge_plan(judges=["jury/two"]))
    assert told.startswith("The two were judged differently")
    [told] = notes(make_against(), PLAN, make_plan("compare", "acme/a", "acme/b"))
    assert told.startswith("Only one of the two was judged")
    pairs = make_judge_plan("acme/a", "acme/b", scoring="pairwise")
    [told] = notes(make_against(), pairs, pairs)
    assert told.startswith("Pairwise, a score is a share of comparisons")


def test_an_open_batch_and_a_simulated_one_are_named() -> None:
    view = make_against(against=make_side("batch_0", state="running", simulated=True))
    first, second = notes(view)
    assert first == "The other batch is running: these numbers will change."
    assert second.startswith("Simulated models")


def test_markdown_has_both_tables_and_shows_labels_as_code() -> None:
    text = against_as_markdown(make_against(notes=["A note."]))
    assert text.startswith("### `batch_1` against `batch_0`\n")
    assert "| `acme/a` | `acme/a` | 7.50 | 7.00 | +0.50 [+0.20, +0.80] | 0.002 | better | 40 |" in (
        text
    )
    assert "| 40 | 39 | 36 | 4 | 1 | 0.375 | +$0.000123 | +250 ms |" in text
    assert text.endswith("- A note.\n")


def test_what_a_client_wrote_is_inert_in_every_form() -> None:
    row = make_against_row(HOSTILE)
    view = make_against(row, batch=make_side("batch_1", name=HOSTILE), notes=[HOSTILE])
    page, text, table = against_as_page(view), against_as_markdown(view), against_as_csv(view)
    assert "<script>" not in page
    assert "Content-Security-Policy" in page
    assert "\\<script\\>" in text
    [line] = csv.DictReader(io.StringIO(table))
    assert line["label"] == f"'{HOSTILE}"
    assert (line["difference"], line["finding"], line["latency_ms"]) == ("0.5", "better", "250.4")


def test_a_comparison_without_scores_has_no_table_of_them() -> None:
    row = make_against_row("a", score=None, against_score=None, test=None, cost_nanos=None)
    text = against_as_markdown(make_against(row))
    assert "difference" not in text
    assert msgspec.json.decode(msgspec.json.encode(make_against(row)))["rows"][0]["test"] is None
