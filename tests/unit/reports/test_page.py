"""A report as a page: whatever models and clients wrote is text in it, and nothing more."""

import base64
import re
import sys
from collections import Counter
from html.parser import HTMLParser

import msgspec
import pytest
from typing_extensions import override

from app.domain.errors import InvalidRequestError
from app.reports.charts import pareto_front, plain_names
from app.reports.details import EXCERPT_CHARS, Details, Dispute, Made, Said, excerpt
from app.reports.judged_views import LevelView
from app.reports.page import POLICY, as_page
from app.reports.report_views import ReportView
from tests.factories.reports import (
    make_failure,
    make_judge,
    make_proof,
    make_rating,
    make_report,
    make_row,
    make_trust,
)

PLAIN = "a plain word"
E2 = (
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    '"><a href="javascript:alert(1)">x</a>',
    "<svg onload=alert(1)><use href='https://x.example/#a'/></svg>",
    "![x](https://collect.example/beacon.png)",
    "' onmouseover='alert(1)",
    "{{ 7 * 7 }}{% for x in y %}",
)
E3 = (
    "</textarea></pre></style><b>out</b>",
    "\x1b[2J\x1b]8;;https://x.example\x07link",
    "\u202etxt.exe",
)


class Elements(HTMLParser):
    """What a browser would make of a page: its elements with their attributes."""

    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=True)
        self.found: Counter[tuple[str, tuple[str, ...]]] = Counter()
        self.values: list[str] = []
        self.text = ""
        self.feed(page)
        self.close()

    @override
    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found[tag, tuple(name for name, _ in attrs)] += 1
        self.values += [value or "" for name, value in attrs if name in {"src", "srcset", "href"}]

    @override
    def handle_data(self, data: str) -> None:
        self.text += data


def page_with(words: str) -> str:
    """A page that has these words wherever a client's or a model's words may be."""
    said = [Said(label, words, "7.00", words) for label in (words, "acme/b")]
    dispute = Dispute(custom_id=words, spread="2.00", prompt=words, overall=words, answers=said)
    made = Made(words, "candidate", words, words, words)
    details = Details([dispute], [made], {words: (100, 200, 300, 400, 500)}, {"prices": words})
    return as_page(report_with(words), details)


def report_with(words: str) -> ReportView:
    rows = [make_row(words, 1, 8.0, model=words), make_row("acme/b", 2, 7.0)]
    failures = [make_failure(words, words)]
    return make_report(*rows, name=words, notes=[words], failures=failures)


@pytest.fixture(scope="module")
def plain() -> Elements:
    return Elements(page_with(PLAIN))


@pytest.mark.parametrize("words", E2)
def test_e2_what_a_model_wrote_adds_no_element_and_no_attribute(
    words: str, plain: Elements
) -> None:
    page = Elements(page_with(words))
    assert page.found == plain.found
    assert page.text.count(words) == plain.text.count(PLAIN) > 10
    assert all(value.startswith("data:image/svg+xml;base64,") for value in page.values)


@pytest.mark.parametrize("words", E3)
def test_e3_what_a_model_wrote_ends_no_element_and_steers_no_terminal(
    words: str, plain: Elements
) -> None:
    source = page_with(words)
    assert Elements(source).found == plain.found
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e]", source)


def test_e2_a_chart_holds_neither_scripts_nor_addresses() -> None:
    for value in Elements(page_with("<script>x</script><a href='https://x.example'>")).values:
        svg = base64.b64decode(value.partition(",")[2]).decode()
        drawn = Elements(svg)
        assert not {tag for tag, _ in drawn.found} & {"script", "a", "image", "foreignobject"}
        assert drawn.values == []


def test_the_page_allows_itself_nothing_but_its_own_images() -> None:
    page = page_with(PLAIN)
    assert (
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'.replace("'", "&#39;")
        in page
    )
    assert "<script" not in page


def test_the_page_begins_with_the_answer() -> None:
    text = Elements(as_page(make_report(), Details())).text
    assert text.index("has the best mean score") < text.index("Leaderboard")


def test_without_what_draws_charts_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "vl_convert", None)
    with pytest.raises(InvalidRequestError, match=r"pip install 'overnight\[report\]'"):
        as_page(make_report(), Details())


def test_the_page_has_a_blend_s_proof_the_judges_and_what_equal_length_would_change() -> None:
    rating = msgspec.structs.replace(
        make_rating(1200), styled=1100, styled_low=1050, styled_high=1150
    )
    rows = [make_row("acme/a", rating=rating), make_row("acme/b", 2, 6.0)]
    view = make_report(
        *rows,
        blend=make_proof("acme/a", "acme/b"),
        trust=make_trust("jury/one", "jury/two"),
        judges=[make_judge("jury/one"), make_judge("jury/two")],
        levels=[LevelView(level="checks", decided=17, answers=0, cost_nanos=0)],
    )
    text = Elements(as_page(view, Details())).text
    for part in (
        "judged blind and in both orders: 18 won, 6 tied, 6 lost on 30 prompts",
        "With acme/b it scores +0.25",
        "Krippendorff's alpha of the panel's scores is 0.71, and 0.80 of their order alone",
        "20 % [10, 30]",
        "1100 [1050, 1150]",
        "jobs decided",
        "17",
    ):
        assert part in text


def test_the_front_has_whoever_nobody_beats_at_less() -> None:
    points = [(1.0, 5.0), (2.0, 7.0), (2.0, 6.0), (3.0, 7.0), (4.0, 9.0)]
    assert pareto_front(points) == {(1.0, 5.0), (2.0, 7.0), (4.0, 9.0)}


def test_a_long_answer_is_an_excerpt_that_says_so() -> None:
    shown = excerpt("x" * (EXCERPT_CHARS + 7))
    assert shown == "x" * EXCERPT_CHARS + "… (7 characters more)"


def test_a_label_in_a_chart_is_plain_and_still_nobody_else_s() -> None:
    labels = ["acme/a", "\x1b[2J", "\u6a21", "\u578b", "x" * 50]
    assert list(plain_names(labels).values()) == [
        "acme/a",
        "2: ?[2J",
        "3: ?",
        "4: ?",
        f"5: {'x' * 40}",
    ]
