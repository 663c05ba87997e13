"""What we sign is what the libraries of receivers accept."""

import base64
import json
from collections.abc import Callable
from typing import Any

import openai
import pytest
import standardwebhooks
import svix.webhooks

from app.domain.clock import utc_now
from app.domain.errors import InvalidRequestError
from app.webhooks.signing import check_secret, new_secret, signed_headers

BODY = json.dumps(
    {
        "id": "evt_1",
        "object": "event",
        "created_at": 1_760_000_000,
        "type": "batch.completed",
        "data": {"id": "batch_1"},
    }
)


def by_standardwebhooks(secret: str, body: str, headers: dict[str, str]) -> Any:
    return standardwebhooks.Webhook(secret).verify(body, headers)


def by_svix(secret: str, body: str, headers: dict[str, str]) -> Any:
    svix.webhooks.Webhook(secret).verify(body, headers)
    return json.loads(body)


def by_openai(secret: str, body: str, headers: dict[str, str]) -> Any:
    client = openai.OpenAI(api_key="none", webhook_secret=secret)
    client.webhooks.verify_signature(body, headers)
    return client.webhooks.unwrap(body, headers).model_dump()


VERIFIERS = [by_standardwebhooks, by_svix, by_openai]
REFUSALS = (
    standardwebhooks.WebhookVerificationError,
    svix.webhooks.WebhookVerificationError,
    openai.InvalidWebhookSignatureError,
)
Verify = Callable[[str, str, dict[str, str]], Any]


@pytest.mark.parametrize("verify", VERIFIERS)
@pytest.mark.parametrize("size", [24, 32, 64])
def test_w7_every_library_accepts_what_we_sign(verify: Verify, size: int) -> None:
    secret = check_secret("whsec_" + base64.b64encode(bytes(range(size))).decode())
    headers = signed_headers([secret], "evt_1", utc_now(), BODY)
    event = verify(secret.reveal(), BODY, headers)
    assert (event["type"], event["data"]["id"]) == ("batch.completed", "batch_1")


@pytest.mark.parametrize("verify", VERIFIERS)
def test_w7_every_library_refuses_what_was_changed(verify: Verify) -> None:
    secret = new_secret()
    headers = signed_headers([secret], "evt_1", utc_now(), BODY)
    for changed, body in (
        (headers, BODY.replace("batch_1", "batch_2")),
        (headers, json.dumps(json.loads(BODY), indent=1)),
        ({**headers, "webhook-id": "evt_2"}, BODY),
        (signed_headers([new_secret()], "evt_1", utc_now(), BODY), BODY),
    ):
        with pytest.raises(REFUSALS):
            verify(secret.reveal(), body, changed)


@pytest.mark.parametrize("verify", VERIFIERS)
def test_w7_during_a_rotation_either_secret_verifies(verify: Verify) -> None:
    old, new, other = new_secret(), new_secret(), new_secret()
    headers = signed_headers([new, old], "evt_1", utc_now(), BODY)
    assert headers["webhook-signature"].count("v1,") == 2
    for secret in (old, new):
        assert verify(secret.reveal(), BODY, headers)["data"]["id"] == "batch_1"
    with pytest.raises(REFUSALS):
        verify(other.reveal(), BODY, headers)


@pytest.mark.parametrize("verify", [by_standardwebhooks, by_svix])
def test_w11_the_signature_is_over_the_exact_bytes(verify: Verify) -> None:
    secret = new_secret()
    body = '{"text": "é 🎉 \\u0000", "\u2028": 1}'
    assert verify(secret.reveal(), body, signed_headers([secret], "evt_1", utc_now(), body))


def test_the_headers_are_those_of_standard_webhooks() -> None:
    moment = utc_now()
    headers = signed_headers([new_secret()], "evt_1", moment, BODY)
    assert set(headers) == {"webhook-id", "webhook-timestamp", "webhook-signature"}
    assert headers["webhook-timestamp"] == str(int(moment.timestamp()))
    assert headers["webhook-signature"].startswith("v1,")


def test_a_new_secret_is_32_random_bytes() -> None:
    secret = new_secret().reveal()
    assert len(base64.b64decode(secret.removeprefix("whsec_"))) == 32
    assert check_secret(secret).reveal() == secret != new_secret().reveal()


@pytest.mark.parametrize(
    "given",
    [
        "",
        "whsec_",
        "canary",
        "canary" * 8,
        "whsec_" + base64.b64encode(b"canary" * 3).decode(),
        "whsec_" + base64.b64encode(b"canary" * 11).decode(),
        "whsec_" + base64.b64encode(b"canary" * 5).decode() + "=",
        "whsec_" + base64.urlsafe_b64encode(b"\xff" * 32).decode(),
        "whsec_" + base64.b64encode(b"\xff" * 32).decode().rstrip("="),
        "whsec_" + "é" * 44,
    ],
)
def test_k2_a_secret_that_verifiers_may_read_differently_is_refused_unseen(given: str) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        check_secret(given)
    assert caught.value.param == "webhook.secret"
    assert "canary" not in caught.value.message
    assert len(given) < 8 or given not in caught.value.message
