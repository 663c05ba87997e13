"""Webhook signing secrets, sealed: an account's own, or one endpoint's."""

from app.domain.secret import Secret
from app.models import Account
from app.vault.master import Binding, DataKey, Vault


def seal_webhook_secret(data_key: DataKey, row_id: str, secret: Secret) -> str:
    """A ciphertext for the row: the account's, or the endpoint's that has a secret of its own."""
    return data_key.seal(_binding(data_key.account_id, row_id), secret)


def open_webhook_secret(vault: Vault, account: Account, row_id: str, sealed: str) -> Secret:
    """The secret that is sealed in the row.

    Raises:
        SealError: it does not open.
    """
    data_key = vault.data_key(account.id, account.data_key_wrapped, account.data_key_kid)
    return data_key.open(_binding(account.id, row_id), sealed)


def _binding(account_id: str, row_id: str) -> Binding:
    return Binding(account_id, "webhook_secret", row_id)
