"""Reports at the door: of one batch against another, and of text that is sealed or gone."""

import csv
import io
from typing import Any

import pytest

from tests.factories.searching import tables_with
from tests.integration.api.conftest import Api, on_sqlite, refused

JUDGED: dict[str, Any] = {
    "mode": "judge",
    "models": ["simulated/gold", "simulated/tin"],
    "judge": {"judges": ["simulated/judge"], "criteria": ["correct"]},
}
QUESTION = "question-canary-31fe"


_FAULT = {"extra": {"simulated": {"fault": {"status": 400}}}}
#: A batch, and what its report comes to in one sentence.
SHAPES: dict[str, tuple[dict[str, Any], str]] = {
    "not judged": (
        {"models": JUDGED["models"]},
        "Every model answered 2 of 2 jobs, and nothing was judged.",
    ),
    "one model": (
        {"mode": "chat"},
        "`simulated/gold` answered 2 of 2 jobs, and nothing was judged.",
    ),
    "all failed": (JUDGED | {"params": _FAULT}, "No model has answered any of 2 jobs."),
    "one answers": (
        JUDGED | {"models": ["simulated/gold", {"model": "simulated/tin", "params": _FAULT}]},
        "Nothing could be judged; `simulated/gold` answered 2 of 2 jobs.",
    ),
}


def path_of(batch: dict[str, Any], against: str) -> str:
    return f"/v1/batches/{batch['id']}/report?against={against}"


def test_a_batch_is_compared_with_another_in_every_form(api: Api) -> None:
    before, after = (api.finished(*"abcdefgh", **JUDGED, name=name) for name in ("old", "new"))
    path = path_of(after, before["id"])
    found = api.get(path).json()
    assert (found["object"], found["jobs"], found["other_prompts"]) == ("comparison", 8, 0)
    assert [row["label"] for row in found["rows"]] == JUDGED["models"]
    assert all(row["test"]["prompts"] == row["asked"] == 8 for row in found["rows"])
    assert api.get(f"{path}&format=md").text.startswith("### new against old\n")
    rows = list(csv.DictReader(io.StringIO(api.get(f"{path}&format=csv").text)))
    assert [row["against_label"] for row in rows] == JUDGED["models"]
    page = api.get(f"{path}&format=html")
    assert page.headers["content-security-policy"].startswith("default-src 'none'")
    assert "<h1>new against old</h1>" in page.text


def test_a_batch_is_compared_with_no_other_account_s(api: Api) -> None:
    mine, key = api.finished("a"), api.stranger_key()
    sent = {"mode": "chat", "models": ["simulated/gold"], "jobs": [{"prompt": "b"}]}
    theirs = api.call("POST", "/v1/batches", key=key, json=sent).json()
    unknown = f"batch_{'0' * (len(mine['id']) - 6)}"
    for other in (theirs["id"], unknown):
        told = refused(api.get(path_of(mine, other)), 404)
        assert told == f"there is no batch '{other}'"
        assert refused(api.get(path_of({"id": other}, mine["id"])), 404) == told


@on_sqlite
def test_what_is_no_other_batch_is_refused(api: Api) -> None:
    batch = api.submit("a")
    assert "same batch" in refused(api.get(path_of(batch, batch["id"])), 422, "against")
    refused(api.get(path_of(batch, "last-night")), 422)


@pytest.mark.parametrize("retention", [{"retention": "none"}, {}], ids=["batch key", "account key"])
def test_a_page_shows_sealed_text_only_while_its_key_lives(
    api: Api, retention: dict[str, str]
) -> None:
    if not retention:
        assert api.call("PUT", "/v1/settings/privacy", json={"seal": True}).status_code == 200
    batch = api.finished(QUESTION, "b", "c", **JUDGED, **retention)
    page = api.get(f"/v1/batches/{batch['id']}/report?format=html")
    assert QUESTION in page.text
    assert "simulated/gold has the best mean score" in page.text
    assert tables_with(api.engine.store, QUESTION) == set()
    if retention:
        assert api.post(f"/v1/batches/{batch['id']}/results/ack").status_code == 204
        for form in ("html", "json", "md", "csv"):
            words = refused(api.get(f"/v1/batches/{batch['id']}/report?format={form}"), 410)
            assert QUESTION not in words
            assert "acknowledged" in words
        other = api.finished("a", **JUDGED)
        assert "acknowledged" in refused(api.get(path_of(other, batch["id"])), 410)


@on_sqlite
@pytest.mark.parametrize("shape", SHAPES)
def test_a_report_of_any_batch_reads_well_in_every_form(api: Api, shape: str) -> None:
    fields, sentence = SHAPES[shape]
    path = f"/v1/batches/{api.finished('a', 'b', **fields)['id']}/report"
    written = {form: api.get(f"{path}?format={form}") for form in ("md", "csv", "html")}
    assert [one.status_code for one in written.values()] == [200] * 3
    text, page = written["md"].text, written["html"].text
    assert sentence in text
    assert sentence.replace("`", "") in page
    for column in ("score [95 %]", "rating [95 %]"):
        assert column not in text
        assert column not in page
    assert "None" not in text


@on_sqlite
def test_a_report_before_anything_ran_says_that_it_will_change(api: Api) -> None:
    path = f"/v1/batches/{api.submit('a', 'b', **JUDGED)['id']}/report"
    text = api.get(f"{path}?format=md").text
    assert "No model has answered any of 2 jobs yet." in text
    assert "these numbers will change" in text
    assert "these numbers will change" in api.get(f"{path}?format=html").text
