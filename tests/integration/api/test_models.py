"""`/v1/models` tells what can be called now: of which lanes and models nothing can be sent, and why."""

from collections.abc import Iterator
from typing import Any

import pytest
from sqlmodel import select
from starlette.testclient import TestClient

from api.main import create_app
from app.domain.secret import Secret
from app.limits.breaker import Breaker
from app.limits.link import Link, connect
from app.limits.local_breaker import FAILURES_MAX
from app.models import Account, Lane, ProviderKey
from app.pipeline.park import park_lane
from app.vault.provider_keys import KeySetting, set_provider_key
from tests.fakes.engine import Engine
from tests.integration.api.conftest import Api, on_sqlite

MODEL = "openai/gpt-4o"


@pytest.fixture
def api(engine: Engine, valkey_url: str) -> Iterator[Api]:
    """The API with a broker, of an account with a key of its own."""
    with engine.store.transaction() as tx:
        account = tx.get_one(Account, engine.account_id)
        setting = KeySetting("openai", Secret("sk-made-up-0123456789"))
        set_provider_key(tx, engine.services.vault, account, setting)
    settings = engine.services.settings.model_copy(update={"redis_url": valkey_url})
    services = type(engine.services)(settings, engine.store, engine.queue, engine.services.vault)
    with TestClient(create_app(services)) as client:
        yield Api(client, engine)


def lane_of(api: Api) -> tuple[str, str]:
    """The account's lane, and the key that it has."""
    with api.engine.store.read() as session:
        key = select(Lane.id, ProviderKey.id).join(ProviderKey).where(Lane.provider == "openai")  # type: ignore[arg-type]
        return session.exec(key).one()


def seen(api: Api, **options: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """The models and the providers that are listed, by name."""
    found = api.get("/v1/models", **options).json()
    models = {one["model"]: one for one in found["data"]}
    return models, {one["provider"]: one for one in found["providers"]}


@on_sqlite
async def test_a_model_whose_breaker_is_open_is_shown_so_to_its_account_alone(
    api: Api, valkey_url: str
) -> None:
    link = Link(connect(valkey_url, 10.0))
    breaker = Breaker(link, "wrk_1")
    for _ in range(FAILURES_MAX):
        await breaker.failed(lane_of(api)[0], "gpt-4o")
    models, providers = seen(api)
    assert (models[MODEL]["breaker"], models["openai/gpt-4o-mini"]["breaker"]) == ("open", "closed")
    assert (providers["openai"]["failing"], providers["simulated"]["failing"]) == (["gpt-4o"], [])
    _, theirs = seen(api, key=api.stranger_key())
    assert {tuple(one["failing"]) for one in theirs.values()} == {()}
    await breaker.succeeded(lane_of(api)[0], "gpt-4o")
    await link.close()
    assert seen(api)[0][MODEL]["breaker"] == "closed"


@on_sqlite
@pytest.mark.parametrize(
    ("for_s", "told"), [(None, "the provider refused the key: "), (3600.0, "until ")]
)
def test_a_parked_lane_is_shown_with_why_and_until_when_and_its_models_are_not_offered(
    api: Api, for_s: float | None, told: str
) -> None:
    assert MODEL in seen(api)[0]
    park_lane(api.engine.services, *lane_of(api), "spend_limit: enough", for_s)
    models, providers = seen(api)
    assert MODEL not in models
    assert providers["openai"]["state"] == "parked"
    assert providers["openai"]["reason"].startswith(told)
    assert "spend_limit: enough" in providers["openai"]["reason"]
