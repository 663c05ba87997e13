"""The official client, against the API in this process."""

import openai
import pytest

from tests.integration.api.conftest import Api


def client_with(api: Api, key: str) -> openai.OpenAI:
    """The official client with a key of ours; its own retries are off, so that a test sees all."""
    return openai.OpenAI(
        base_url="http://testserver/openai/v1", api_key=key, http_client=api.client, max_retries=0
    )


@pytest.fixture
def client(api: Api) -> openai.OpenAI:
    """A client with the key of the account's admin."""
    return client_with(api, api.admin_key)
