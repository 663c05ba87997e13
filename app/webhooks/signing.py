"""Signatures as Standard Webhooks has them, and the secrets they are made with."""

import base64
import binascii
import os
from collections.abc import Sequence
from datetime import datetime

from standardwebhooks import Webhook

from app.domain.errors import InvalidRequestError
from app.domain.secret import Secret

PREFIX = "whsec_"
SECRET_BYTES = 32
SECRET_BYTES_MIN = 24
SECRET_BYTES_MAX = 64


def new_secret() -> Secret:
    """A new signing secret."""
    return Secret(PREFIX + base64.b64encode(os.urandom(SECRET_BYTES)).decode())


def check_secret(text: str, *, param: str = "webhook.secret") -> Secret:
    """A secret that the client gives, if every verifier reads it as the same bytes.

    Raises:
        InvalidRequestError: it is none; the message does not repeat it.
    """
    given = text.strip()
    key = _decoded(given.removeprefix(PREFIX))
    if not given.startswith(PREFIX) or not SECRET_BYTES_MIN <= len(key) <= SECRET_BYTES_MAX:
        raise InvalidRequestError(
            f"{param}: a signing secret is {PREFIX} and the base64 of {SECRET_BYTES_MIN} to "
            f"{SECRET_BYTES_MAX} random bytes",
            param=param,
        )
    return Secret(given)


def _decoded(text: str) -> bytes:
    try:
        key = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return b""
    # Libraries disagree about what is not canonical.
    return key if base64.b64encode(key).decode() == text else b""


def signed_headers(
    secrets: Sequence[Secret], message_id: str, moment: datetime, body: str
) -> dict[str, str]:
    """The headers that prove a body: the same id at every try, the moment and signatures anew.

    A receiver that knows any one of the secrets accepts it.
    """
    signatures = [Webhook(one.reveal()).sign(message_id, moment, body) for one in secrets]
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(int(moment.timestamp())),
        "webhook-signature": " ".join(signatures),
    }
