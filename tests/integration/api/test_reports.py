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
