"""Without a key for a provider its models go through the aggregator, if there is a key for that."""

from typing import Any

import msgspec
from sqlmodel import select

from app.domain.plan import Plan
from app.domain.secret import Secret
from app.models import Account, BatchSpec, Call, Lane
from app.pipeline.control import cancel
from app.queue import Step
from app.vault.provider_keys import KeySetting, set_provider_key
from tests.integration.api.conftest import Api, on_sqlite, refused, submission

MODEL = "anthropic/claude-sonnet-4-5-20250929"


def set_key(api: Api, provider: str) -> None:
    with api.engine.store.transaction() as tx:
        account = tx.get_one(Account, api.engine.account_id)
        setting = KeySetting(provider, Secret("sk-of-a-test-000000"), None)
        set_provider_key(tx, api.engine.services.vault, account, setting)


def plan_of(api: Api, batch_id: str) -> Plan:
    with api.engine.store.read() as session:
        return msgspec.json.decode(session.get_one(BatchSpec, batch_id).plan, type=Plan)


def offered(api: Api, model: str) -> dict[str, Any] | None:
    models = {one["model"]: one for one in api.get("/v1/models").json()["data"]}
    return models.get(model)


def test_a_model_without_a_key_goes_through_the_aggregator_under_its_own_label(api: Api) -> None:
    set_key(api, "openrouter")
    batch = api.submit("a", models=[MODEL, "simulated/gold"])
    first, second = plan_of(api, batch["id"]).variants
    assert (first.label, str(first.ref)) == (MODEL, "openrouter/anthropic/claude-sonnet-4.5")
    assert str(second.ref) == "simulated/gold"
    api.engine.follow(Step.PLAN, (batch["id"],))
    with api.engine.store.read() as session:
        calls = session.exec(
            select(Call.label, Call.model, Lane.provider).join(Lane, Lane.id == Call.lane_id)
        ).all()
    assert (MODEL, "anthropic/claude-sonnet-4.5", "openrouter") in calls
    cancel(api.engine.services, api.engine.account_id, batch["id"])
    api.engine.drain()


def test_every_part_of_a_plan_goes_there(api: Api) -> None:
    set_key(api, "openrouter")
    models = ["simulated/gold", "simulated/tin"]
    judge = {"judges": [MODEL]}
    judged = plan_of(api, api.submit("a", mode="judge", models=models, judge=judge)["id"])
    assert judged.judge is not None
    assert judged.judge.judges[0].ref.provider == "openrouter"
    blend = {"synthesizer": MODEL}
    blended = plan_of(api, api.submit("a", mode="blend", models=models, blend=blend)["id"])
    assert blended.blend is not None
    assert blended.blend.synthesizer is not None
    assert blended.blend.synthesizer.ref.provider == "openrouter"
    mesh = {"fallback": [MODEL]}
    meshed = plan_of(api, api.submit("a", mode="mesh", models=models[:1], mesh=mesh)["id"])
    assert meshed.mesh is not None
    assert meshed.mesh.fallback[0].ref.provider == "openrouter"


@on_sqlite
def test_a_key_of_its_own_comes_first(api: Api) -> None:
    set_key(api, "openrouter")
    set_key(api, "anthropic")
    (variant,) = plan_of(api, api.submit("a", models=[MODEL])["id"]).variants
    assert variant.ref.provider == "anthropic"


@on_sqlite
def test_without_either_it_says_which_keys_would_do(api: Api) -> None:
    message = refused(api.post("/v1/batches", json=submission(models=[MODEL])), 422, "models")
    assert "there is no key for 'anthropic'" in message
    assert "or one for 'openrouter', which serves it, too" in message
    message = refused(
        api.post("/v1/batches", json=submission(models=["groq/llama-3.3-70b"])), 422, "models"
    )
    assert "openrouter" not in message


@on_sqlite
def test_what_the_aggregator_has_no_name_for_needs_a_key(api: Api) -> None:
    set_key(api, "openrouter")
    asked = submission(models=["groq/llama-3.3-70b-versatile"])
    assert "there is no key for 'groq'" in refused(api.post("/v1/batches", json=asked), 422)


def test_models_say_that_they_go_through_it(api: Api) -> None:
    assert offered(api, "anthropic/claude-sonnet-4-5") is None
    set_key(api, "openrouter")
    found = offered(api, "anthropic/claude-sonnet-4-5")
    assert found is not None
    assert (found["via"], found["key"]) == ("openrouter", "byok")
    providers = {one["provider"]: one for one in api.get("/v1/models").json()["providers"]}
    assert providers["anthropic"]["via"] == "openrouter"
    assert "go through openrouter" in providers["anthropic"]["reason"]
    assert providers["groq"]["key"] is None
    set_key(api, "anthropic")
    direct = offered(api, "anthropic/claude-sonnet-4-5")
    assert direct is not None
    assert direct["via"] is None
