"""What cannot fit into a model's context is refused at submit, and told in an estimate."""

import pytest
from sqlmodel import select

from app.domain.plan import Plan
from app.domain.secret import Secret
from app.models import Account, Batch
from app.vault.provider_keys import KeySetting, set_provider_key
from tests.integration.api.conftest import Api, on_sqlite, refused, submission
from tests.integration.api.test_aggregator import plan_of

SMALL = "openai/gpt-4"  # 8,192 tokens, in the bundled list
LONG = "word " * 20_000  # 25,000 tokens by the estimate
TIGHT = "word " * 6_000  # 7,500
JSONL = {"content-type": "application/jsonl"}


@pytest.fixture(autouse=True)
def _key(api: Api) -> None:
    with api.engine.store.transaction() as tx:
        account = tx.get_one(Account, api.engine.account_id)
        setting = KeySetting("openai", Secret("sk-of-a-test-000000"), None)
        set_provider_key(tx, api.engine.services.vault, account, setting)


@on_sqlite
def test_the_line_the_model_the_tokens_and_the_limit_are_named(api: Api) -> None:
    body = submission("short", LONG, models=["simulated/gold", SMALL])
    told = refused(api.post("/v1/batches", json=body), 422, "jobs[1]")
    assert "the prompt has about 25,007 tokens, and openai/gpt-4 takes at most 8,192" in told
    with api.engine.store.read() as session:
        assert session.exec(select(Batch)).all() == []


@on_sqlite
@pytest.mark.parametrize(
    "fields",
    [
        {"mode": "mesh", "models": ["simulated/gold"], "mesh": {"fallback": [SMALL]}},
        {"mode": "blend", "models": ["simulated/gold", "simulated/tin"],
         "blend": {"synthesizer": SMALL}},
        {"mode": "compare", "template": {"messages": [{"role": "user", "content": "{{ x }}"}]},
         "jobs": [{"vars": {"x": LONG}}], "models": [SMALL]},
    ],
    ids=["mesh", "blend", "template"],
)  # fmt: skip
def test_whoever_reads_the_prompt_whole_must_be_able_to(api: Api, fields: dict) -> None:
    told = refused(api.post("/v1/batches", json=submission(LONG) | fields), 422, "jobs[0]")
    assert "openai/gpt-4 takes at most 8,192" in told


@on_sqlite
def test_what_may_fit_and_what_nobody_knows_the_limit_of_is_accepted(api: Api) -> None:
    api.submit(TIGHT, models=[SMALL])
    api.submit("word " * 9_000, models=[SMALL])  # 11,257: within what the estimate may be off by
    api.submit(LONG, models=["simulated/gold", "openai/gpt-5.2"])


@on_sqlite
def test_an_estimate_says_what_would_be_refused_and_what_leaves_no_room(api: Api) -> None:
    def problems(*prompts: str, **fields: object) -> list[dict]:
        body = submission(*prompts, models=[SMALL], **fields)
        found = api.post("/v1/batches/estimate", json=body)
        assert found.status_code == 200
        return found.json()["problems"]

    assert problems("a", TIGHT) == []
    (tight,) = problems("a", TIGHT, "b", params={"max_tokens": 1_000})
    assert tight["param"] == "models"
    assert "1 of the prompts may not fit; the first is q1, with about 7,507" in tight["message"]
    assert tight["message"].endswith("and 1,000 for the answer")
    (long,) = problems(TIGHT, LONG, LONG, params={"max_tokens": 1_000})
    assert "2 of the prompts have more; the first is q1, with about 25,007" in long["message"]


@on_sqlite
def test_j9_a_judge_with_a_small_context_is_shown_less_and_the_prompt_is_cut_for_it(
    api: Api,
) -> None:
    models, judge = ["simulated/gold", "simulated/tin"], {"judges": [SMALL]}
    batch = api.submit(LONG, mode="judge", models=models, judge=judge)
    plan: Plan = plan_of(api, batch["id"])
    assert plan.shown_share == pytest.approx(0.078)
    wide = api.submit(LONG, mode="judge", models=models, judge={"judges": ["openai/gpt-5.2"]})
    assert plan_of(api, wide["id"]).shown_share == 1


@on_sqlite
def test_the_models_that_can_be_called_tell_their_context(api: Api) -> None:
    offered = {one["model"]: one for one in api.get("/v1/models").json()["data"]}
    assert offered[SMALL]["context_tokens"] == 8_192
    assert offered["simulated/gold"]["context_tokens"] is None
