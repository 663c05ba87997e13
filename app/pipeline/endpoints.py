"""Where a batch is announced."""

from collections.abc import Sequence
from datetime import datetime

from app.db import Tx
from app.domain.errors import AddressRefusedError, InvalidRequestError
from app.domain.ids import Prefix, new_id
from app.domain.spec import WebhookBody
from app.models import Account, Endpoint
from app.net import check_url
from app.vault.master import Vault
from app.vault.webhook_secrets import seal_webhook_secret
from app.webhooks.signing import check_secret


def check_webhook(webhook: WebhookBody, trusted_hosts: Sequence[str]) -> None:
    """Refuse what could never be delivered, before anything is stored.

    Raises:
        InvalidRequestError: the URL may not be reached, or the secret is none.
    """
    try:
        check_url(webhook.url, trusted_hosts)
    except AddressRefusedError as error:
        raise InvalidRequestError(f"webhook.url: {error.message}", param="webhook.url") from None
    if webhook.secret is not None:
        check_secret(webhook.secret)


def add_batch_endpoint(
    tx: Tx, vault: Vault, account: Account, batch_id: str, webhook: WebhookBody, now: datetime
) -> None:
    """Have a batch announced at its own URL, signed with its own secret if it has one."""
    endpoint_id = new_id(Prefix.ENDPOINT)
    sealed = None
    if webhook.secret is not None:
        data_key = vault.data_key(account.id, account.data_key_wrapped, account.data_key_kid)
        sealed = seal_webhook_secret(data_key, endpoint_id, check_secret(webhook.secret))
    tx.add(
        Endpoint(
            id=endpoint_id,
            account_id=account.id,
            batch_id=batch_id,
            url=webhook.url,
            secret_sealed=sealed,
            created_at=now,
        )
    )
    tx.flush()
