"""No webhook leads to the API itself, by whatever its settings call it."""

import pytest

from app.pipeline.own_address import is_own
from app.settings import Settings


def settings(**given: object) -> Settings:
    return Settings.model_validate(given)


HERE = {"OVERNIGHT_HOST": "127.0.0.1", "OVERNIGHT_PORT": 8484}
EVERYWHERE = {"OVERNIGHT_HOST": "0.0.0.0", "OVERNIGHT_PORT": 8484}
PUBLIC = {**EVERYWHERE, "OVERNIGHT_URL": "https://Overnight.example/"}


@pytest.mark.parametrize(
    ("given", "url"),
    [
        (HERE, "http://127.0.0.1:8484/v1/batches"),
        (HERE, "http://127.9.9.9:8484/"),
        (HERE, "http://localhost:8484"),
        (HERE, "http://any.localhost:8484"),
        (HERE, "http://[::1]:8484/"),
        (HERE, "http://[::ffff:127.0.0.1]:8484/"),
        (EVERYWHERE, "http://localhost:8484/"),
        (EVERYWHERE, "http://0.0.0.0:8484/"),
        (PUBLIC, "https://overnight.example/hook"),
        (PUBLIC, "https://overnight.EXAMPLE.:443/"),
        ({"OVERNIGHT_HOST": "10.1.2.3"}, "http://10.1.2.3:8484/"),
    ],
)
def test_x13_a_url_of_the_apis_own_is_known(given: dict[str, object], url: str) -> None:
    assert is_own(settings(**given), url)


@pytest.mark.parametrize(
    ("given", "url"),
    [
        (HERE, "http://127.0.0.1:9000/"),
        (HERE, "https://hooks.example/"),
        (PUBLIC, "https://hooks.overnight.example/"),
        (PUBLIC, "https://overnight.example:8443/"),
        (PUBLIC, "http://overnight.example/"),
        (HERE, "http://[broken:8484/"),
        (HERE, "http://127.0.0.1:99999/"),
        (HERE, ""),
    ],
)
def test_a_receiver_beside_the_api_is_somebody_else(given: dict[str, object], url: str) -> None:
    assert not is_own(settings(**given), url)
