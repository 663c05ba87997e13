"""Sealed text: nobody reads it in the store, and everything works as it does in plain."""

import json
from typing import Any

import pytest

from app.pipeline.laws import check_laws
from app.pipeline.retention import enforce_retention
from tests.factories.searching import tables_with
from tests.fakes.provider import FakeProvider, answer, problem
from tests.integration.api.conftest import Api, refused

PROMPT = "prompt-canary-5e1b"
ANSWER = "answer-canary-77aa"
MODES: dict[str, dict[str, Any]] = {
    "chat": {},
    "compare": {"models": ["simulated/gold", "simulated/silver"]},
    "judge": {
        "models": ["simulated/gold", "simulated/silver"],
        "judge": {"judges": ["simulated/judge"]},
    },
    "blend": {
        "models": ["simulated/gold", "simulated/silver"],
        "blend": {"strategy": "consensus", "synthesizer": "simulated/gold"},
    },
    "mesh": {"mesh": {"fallback": ["simulated/silver"]}},
}


def seal(api: Api, **setting: Any) -> None:
    answer = api.call("PUT", "/v1/settings/privacy", json={"seal": True} | setting)
    assert answer.status_code == 200, answer.text


def results(api: Api, batch_id: str, query: str = "?format=jsonl") -> list[dict[str, Any]]:
    answer = api.get(f"/v1/batches/{batch_id}/results{query}")
    assert answer.status_code == 200, answer.text
    return [json.loads(line) for line in answer.text.splitlines()]


def texts_in(lines: list[dict[str, Any]]) -> list[Any]:
    """What of results is text, and the same at each run."""
    return [
        [(one["label"], one["text"], one["reasoning"], one["error"]) for one in line["completions"]]
        + [line["synthesis"], line["route"]]
        for line in lines
    ]


@pytest.mark.parametrize("mode", MODES)
def test_k1_a_sealed_batch_works_like_a_plain_one_and_the_store_holds_no_text_of_it(
    api: Api, mode: str
) -> None:
    fields = {"mode": mode, "params": {"temperature": 0}, **MODES[mode]}
    plain = api.finished(f"{PROMPT} one", f"{PROMPT} two", **fields)
    shown = results(api, plain["id"])
    assert tables_with(api.engine.store, PROMPT) == {"stored_text"}
    seal(api)
    sealed = api.finished(f"{PROMPT}s one", f"{PROMPT}s two", **fields)
    assert (sealed["state"], sealed["sealed"]) == ("completed", True)
    again = results(api, sealed["id"])
    assert len(texts_in(again)) == len(texts_in(shown)) == 2
    assert all(one["text"] for line in again for one in line["completions"])
    assert [bool(line["verdict"]) for line in again] == [bool(line["verdict"]) for line in shown]
    assert [bool(line["synthesis"]) for line in again] == [
        bool(line["synthesis"]) for line in shown
    ]
    job = api.get(f"/v1/jobs/{again[0]['job_id']}").json()
    assert job["prompt"]["messages"][0]["content"] == f"{PROMPT}s one"
    report = api.get(f"/v1/batches/{sealed['id']}/report").json()
    assert report["judged"] == api.get(f"/v1/batches/{plain['id']}/report").json()["judged"]
    words = [one["text"] for line in again for one in line["completions"] if len(one["text"]) > 40]
    assert tables_with(api.engine.store, f"{PROMPT}s", *words) == set()


def test_k1_messages_that_quote_a_prompt_are_sealed_with_it(api: Api) -> None:
    seal(api)
    with FakeProvider() as provider:
        key = {"api_key": "sk-canary-1", "base_url": provider.url}
        assert api.call("PUT", "/v1/settings/keys/custom:x", json=key).status_code == 200
        quoted = f"your prompt {PROMPT} is not to our liking"
        provider.reply_with(problem(400, message=quoted), answer(ANSWER))
        batch = api.finished(PROMPT, PROMPT, mode="chat", models=["custom:x/m"])
    lines = results(api, batch["id"])
    failed = next(line for line in lines if line["state"] == "failed")
    assert PROMPT in failed["completions"][0]["error"]["message"]
    job = api.get(f"/v1/jobs/{failed['job_id']}").json()
    assert PROMPT in job["calls"][0]["attempts"][0]["message"]
    assert tables_with(api.engine.store, PROMPT, ANSWER) == set()


def test_a_sealed_batch_is_retried_and_its_retry_read_joined(api: Api) -> None:
    plain = api.finished(PROMPT, mode="chat")
    seal(api)
    with FakeProvider() as provider:
        key = {"api_key": "sk-canary-1", "base_url": provider.url}
        assert api.call("PUT", "/v1/settings/keys/custom:x", json=key).status_code == 200
        provider.reply_with(answer(ANSWER), problem(400), answer(ANSWER))
        first = api.finished(PROMPT, PROMPT, mode="chat", models=["custom:x/m"])
        made = api.post(f"/v1/batches/{first['id']}/retry").json()
        api.engine.drain()
    lines = results(api, made["id"], "?format=jsonl&joined=true")
    assert [line["completions"][0]["text"] for line in lines] == [ANSWER, ANSWER]
    assert results(api, plain["id"])[0]["completions"][0]["text"]
    assert tables_with(api.engine.store, ANSWER) == set()


def test_a_sealed_template_is_kept_nowhere(api: Api) -> None:
    seal(api)
    body = {
        "mode": "chat",
        "models": ["simulated/gold"],
        "template": {"messages": [{"role": "user", "content": f"{PROMPT} {{{{ x }}}}"}]},
        "jobs": [{"custom_id": "a", "vars": {"x": "y"}}],
    }
    made = api.post("/v1/batches", json=body)
    assert made.status_code == 201, made.text
    api.engine.drain()
    assert results(api, made.json()["id"])[0]["state"] == "succeeded"
    assert tables_with(api.engine.store, PROMPT) == set()


def test_earlier_answers_are_found_among_sealed_batches_and_not_from_plain_ones(api: Api) -> None:
    ask = {"mode": "chat", "cache": True, "params": {"temperature": 0}}
    plain = api.finished(PROMPT, **ask)
    seal(api)
    first, second = api.finished(PROMPT, **ask), api.finished(PROMPT, **ask)
    cached = [one["counts"]["calls"]["cached"] for one in (plain, first, second)]
    assert cached == [0, 0, 1]
    texts = [results(api, one["id"])[0]["completions"][0]["text"] for one in (first, second)]
    assert texts[0] == texts[1]
    with api.engine.store.read() as session:
        assert check_laws(session, api.engine.store) == []


def test_a_sealed_file_is_read_as_it_was_uploaded(api: Api) -> None:
    seal(api)
    lines = b"".join(
        b'{"custom_id": "c%d", "prompt": "%s"}\n' % (n, PROMPT.encode()) for n in (1, 2)
    )
    stored = api.post("/v1/files", files={"file": ("in.jsonl", lines)}).json()
    assert (stored["bytes"], stored["retention"]) == (len(lines), "keep")
    on_disk = (api.engine.services.settings.data_dir / "files" / stored["id"]).read_bytes()
    assert PROMPT.encode() not in on_disk
    body = {"mode": "chat", "models": ["simulated/gold"], "input_file_id": stored["id"]}
    for _ in range(2):
        made = api.post("/v1/batches", json=body)
        assert made.status_code == 201, made.text
    api.engine.drain()
    assert len(results(api, made.json()["id"])) == 2


def test_privacy_is_read_and_set_and_in_the_audit_log(api: Api) -> None:
    path = "/v1/settings/privacy"
    first = {"retention": "keep", "seal": False, "retention_days": None}
    assert api.get(path).json() == first
    seal(api, retention_days=30)
    assert api.get(path).json() == {"retention": "keep", "seal": True, "retention_days": 30}
    assert api.call("PUT", path, json={}).json() == first
    assert api.get("/v1/audit").json()["data"][0]["action"] == "privacy.set"
    for wrong, param in (
        ({"retention_days": 0}, "retention_days"),
        ({"retention": "some"}, "retention"),
        ({"sealed": True}, None),
    ):
        refused(api.call("PUT", path, json=wrong), 422, param)


def test_text_is_deleted_once_the_accounts_days_have_passed(api: Api) -> None:
    old, young = api.finished(PROMPT, mode="chat"), api.finished(PROMPT, mode="chat")
    seal(api, seal=False, retention_days=30)
    store = api.engine.store
    with store.transaction() as tx:
        back = store.sql("UPDATE batch SET closed_at = {after_ms(:ms)} WHERE id = :id")
        tx.run(back, {"id": old["id"], "ms": -31 * 86_400_000})
    assert enforce_retention(api.engine.services) == 1
    assert enforce_retention(api.engine.services) == 0
    assert "retention period" in refused(api.get(f"/v1/batches/{old['id']}/results"), 410)
    assert results(api, young["id"])[0]["completions"][0]["text"]
    shown = api.get(f"/v1/batches/{old['id']}").json()
    assert (shown["text_gone"]["reason"], shown["counts"]["jobs"]["succeeded"]) == (
        "retention_days",
        1,
    )
    with store.read() as session:
        assert check_laws(session, store) == []
        left = session.execute(
            store.sql("SELECT COUNT(*) FROM stored_text WHERE batch_id = :id"), {"id": old["id"]}
        ).scalar_one()
    assert left == 0
