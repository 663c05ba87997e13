"""Submitting: accepted whole and once, or refused with the field at fault."""

import threading
from typing import Any

import pytest
from sqlmodel import func, select

from app.models import Batch, Job
from app.queue import Step
from tests.factories.rows import make_lane
from tests.integration.api.conftest import Api, on_sqlite, refused, submission


def batches_in(api: Api) -> int:
    with api.engine.store.read() as session:
        return session.exec(select(func.count()).select_from(Batch)).one()


def test_a_batch_is_accepted_shown_and_hinted(api: Api) -> None:
    answer = api.post("/v1/batches", json=submission("a", "b", name="nightly"))
    assert answer.status_code == 201
    batch = answer.json()
    assert batch["name"] == "nightly"
    assert batch["state"] == "queued"
    assert batch["counts"]["jobs"]["total"] == 2
    assert list(api.engine.queue.hints) == [(Step.PLAN, (batch["id"],))]
    assert api.get(f"/v1/batches/{batch['id']}").json()["id"] == batch["id"]


def test_the_same_key_with_the_same_bytes_is_the_same_batch(api: Api) -> None:
    headers = {"Idempotency-Key": "night 1"}
    first = api.post("/v1/batches", json=submission("a"), headers=headers)
    again = api.post("/v1/batches", json=submission("a"), headers=headers)
    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json()["id"] == again.json()["id"]
    assert batches_in(api) == 1


def test_a9_the_same_key_with_other_bytes_is_refused(api: Api) -> None:
    headers = {"Idempotency-Key": "night 1"}
    api.post("/v1/batches", json=submission("a"), headers=headers)
    answer = api.post("/v1/batches", json=submission("b"), headers=headers)
    refused(answer, 409, "Idempotency-Key")
    assert batches_in(api) == 1


def test_a8_another_accounts_key_is_another_key(api: Api) -> None:
    headers = {"Idempotency-Key": "night 1"}
    mine = api.post("/v1/batches", json=submission("a"), headers=headers)
    theirs = api.post("/v1/batches", json=submission("b"), headers=headers, key=api.stranger_key())
    assert (mine.status_code, theirs.status_code) == (201, 201)
    assert mine.json()["id"] != theirs.json()["id"]


def test_a10_after_its_seven_days_a_key_makes_a_batch_anew(api: Api) -> None:
    headers, engine = {"Idempotency-Key": "night 1"}, api.engine
    first = api.post("/v1/batches", json=submission("a"), headers=headers)
    age = "UPDATE idempotency_key SET created_at = {after_ms(:ms)}"
    for days, expected in ((6.9, 200), (7.1, 201)):
        with engine.store.transaction() as tx:
            tx.run(engine.store.sql(age), {"ms": round(-days * 86_400_000)})
        engine.follow(Step.RECONCILE, ())
        again = api.post("/v1/batches", json=submission("a"), headers=headers)
        assert again.status_code == expected
        assert (again.json()["id"] == first.json()["id"]) == (expected == 200)
    assert batches_in(api) == 2
    # From then on it is the new one's, for its own seven days; also with another body.
    refused(api.post("/v1/batches", json=submission("b"), headers=headers), 409)


def test_a9_of_many_at_once_with_one_key_one_makes_the_batch(api: Api) -> None:
    answers: list[tuple[int, str]] = []
    start = threading.Barrier(50)

    def submit() -> None:
        start.wait()
        headers = {"Idempotency-Key": "one"}
        answer = api.post("/v1/batches", json=submission("a"), headers=headers)
        answers.append((answer.status_code, answer.json().get("id")))

    threads = [threading.Thread(target=submit) for _ in range(50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(status for status, _ in answers) == [200] * 49 + [201]
    assert len({batch_id for _, batch_id in answers}) == 1
    assert batches_in(api) == 1


@on_sqlite
@pytest.mark.parametrize("key", ["", "x" * 256, "t\tab", "é"])
def test_an_idempotency_key_is_short_and_printable(api: Api, key: str) -> None:
    headers = {"Idempotency-Key": key.encode("latin-1")}
    answer = api.post("/v1/batches", json=submission(), headers=headers)
    refused(answer, 422, "Idempotency-Key")


def test_one_bad_line_refuses_the_whole_batch(api: Api) -> None:
    jobs: list[dict[str, Any]] = [{"custom_id": f"q{n}", "prompt": "?"} for n in range(50)]
    jobs[37] = {"custom_id": "q37", "prompt": 5}
    answer = api.post("/v1/batches", json=submission() | {"jobs": jobs})
    message = refused(answer, 422, "jobs[37].prompt")
    assert message == "jobs[37].prompt: expected `str | null`, got `int`"
    assert batches_in(api) == 0


@on_sqlite
def test_i13_a_custom_id_is_used_once(api: Api) -> None:
    jobs = [{"custom_id": "q1", "prompt": "a"}, {"custom_id": "q1", "prompt": "b"}]
    answer = api.post("/v1/batches", json=submission() | {"jobs": jobs})
    message = refused(answer, 422, "jobs[1].custom_id")
    assert message == "jobs[1].custom_id: 'q1' is already used by jobs[0]"


@on_sqlite
@pytest.mark.parametrize(
    "custom_id",
    ["x" * 40_000, "😀", "a b", "", "a\u0000b", "a\nb", "q1\n", "caf\u00e9", "cafe\u0301"],
)
def test_i14_i19_a_custom_id_that_cannot_be_kept_is_refused(api: Api, custom_id: str) -> None:
    jobs = [{"custom_id": custom_id, "prompt": "a"}]
    refused(api.post("/v1/batches", json=submission() | {"jobs": jobs}), 422, "jobs[0].custom_id")


@pytest.mark.parametrize("custom_id", ["../../etc/passwd", "=cmd()", "{{x}}", "a" * 64])
def test_i14_a_custom_id_is_no_path_and_no_formula_to_us(api: Api, custom_id: str) -> None:
    batch = api.finished("a", jobs=[{"custom_id": custom_id, "prompt": "a"}])
    results = api.get(f"/v1/batches/{batch['id']}/results").json()
    assert [line["custom_id"] for line in results["data"]] == [custom_id]


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"jobs": []}, "jobs"),
        ({"models": []}, "models"),
        ({"models": ["simulated/gold"] * 2}, "models[1]"),
    ],
)
def test_i15_nothing_and_the_same_twice_are_refused(
    api: Api, fields: dict[str, Any], param: str
) -> None:
    refused(api.post("/v1/batches", json=submission() | fields), 422, param)
    assert batches_in(api) == 0


@on_sqlite
@pytest.mark.parametrize("model", ["a\nb/c", "simulated/", "simulated/a b", "gold", "x" * 300])
def test_i16_a_models_name_that_could_reach_a_header_or_path_is_refused(
    api: Api, model: str
) -> None:
    refused(api.post("/v1/batches", json=submission(models=[model])), 422)


@on_sqlite
def test_i16_a_models_name_is_only_a_name(api: Api) -> None:
    batch = api.submit("a", models=["simulated/../{{7*7}}"])
    assert batch["models"][0]["model"] == "simulated/../{{7*7}}"


@on_sqlite
def test_i17_braces_in_a_prompt_are_text(api: Api) -> None:
    prompt = "{0.__class__} {{ config }} %s"
    batch = api.submit(prompt)
    with api.engine.store.read() as session:
        job_id = session.exec(select(Job.id).where(Job.batch_id == batch["id"])).one()
    job = api.get(f"/v1/jobs/{job_id}").json()
    assert job["prompt"]["messages"] == [{"role": "user", "content": prompt}]


@on_sqlite
@pytest.mark.parametrize(
    ("field", "moment"),
    [
        ("not_before", "2026-07-01T00:00:00"),
        ("not_before", "9999-12-31T23:59:59Z"),
        ("not_before", "0001-01-01T00:00:00+14:00"),
        ("not_before", "2026-06-30T23:59:60Z"),
        ("not_before", 1_900_000_000),
        ("deadline", "9999-12-31T23:59:59-14:00"),
        ("deadline", "2026-07-01T00:00:00"),
        ("deadline", "2001-01-01T00:00:00Z"),
        ("deadline", "0h"),
        ("deadline", "tomorrow"),
        ("deadline", "999999999d"),
    ],
)
def test_i18_a_moment_that_is_none_is_refused(api: Api, field: str, moment: Any) -> None:
    refused(api.post("/v1/batches", json=submission(**{field: moment})), 422, field)


@pytest.mark.parametrize(
    "fields",
    [
        {"not_before": "0001-01-01T00:00:00Z"},
        {"deadline": "9999-12-31T23:59:59Z"},
        {"deadline": "999999d"},
        {"deadline": None},
        {"budget_usd": "1e-999999"},
        {"budget_usd": 1_000_000},
        {"name": "\U0001f600\u2028\u0085", "metadata": {"k\u0001": "\u007f"}},
    ],
)
def test_i18_what_is_odd_and_can_be_kept_is_kept_on_both_stores(
    api: Api, fields: dict[str, Any]
) -> None:
    batch = api.submit("a", **fields)
    assert api.get("/v1/batches").json()["data"][0]["id"] == batch["id"]


def test_a_jobs_variables_are_put_into_the_batchs_template(api: Api) -> None:
    template = {"messages": [{"role": "user", "content": "Why {{ thing }}?"}]}
    jobs = [{"vars": {"thing": "rain"}}, {"vars": {"thing": "{{ snow }}"}}]
    answer = api.post("/v1/batches", json=submission(template=template, jobs=jobs))
    assert answer.status_code == 201, answer.text
    assert api.engine.prompts_of(answer.json()["id"]) == ["Why rain?", "Why {{ snow }}?"]


@on_sqlite
def test_a_missing_variable_refuses_the_batch_and_names_its_line(api: Api) -> None:
    template = {"messages": [{"role": "user", "content": "Why {{ thing }}?"}]}
    answer = api.post("/v1/batches", json=submission(template=template, jobs=[{"vars": {}}]))
    assert "'thing' is undefined" in refused(answer, 422, "jobs[0].vars")


@on_sqlite
def test_a12_whose_a_batch_is_nobody_says_in_a_body(api: Api) -> None:
    refused(api.post("/v1/batches", json=submission(account_id="acct_x")), 422, "account_id")


@on_sqlite
def test_a_provider_without_a_key_says_how_to_set_one(api: Api) -> None:
    answer = api.post("/v1/batches", json=submission(models=["openai/gpt-4o"]))
    assert "overnight keys set openai" in refused(answer, 422, "models")


def test_credits_that_do_not_suffice_are_said(api: Api) -> None:
    with api.engine.store.transaction() as tx:
        make_lane(tx, None, "openai")
    answer = api.post("/v1/batches", json=submission(models=["openai/gpt-4o"]))
    assert "credits" in refused(answer, 402)
    assert batches_in(api) == 0


@on_sqlite
def test_a_webhook_to_a_private_address_is_refused(api: Api) -> None:
    webhook = {"url": "https://169.254.169.254/"}
    refused(api.post("/v1/batches", json=submission(webhook=webhook)), 422, "webhook.url")
