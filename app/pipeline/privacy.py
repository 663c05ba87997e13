"""privacy: an account changes how its text is kept, and says so in its audit log."""

from app.accounts.audit import Action, record_action
from app.accounts.privacy import Privacy, set_privacy
from app.db import Commit
from app.pipeline.services import Services


def change_privacy(services: Services, account_id: str, privacy: Privacy, *, actor: str) -> None:
    """Set how the text of an account's batches is kept from now on.

    Raises:
        InvalidRequestError: the days are out of their limits.
    """
    with services.store.transaction(Commit.PRIVACY) as tx:
        set_privacy(tx, account_id, privacy)
        record_action(
            tx,
            Action.PRIVACY_SET,
            actor=actor,
            account_id=account_id,
            retention=privacy.retention.value,
            seal=privacy.seal,
            retention_days=privacy.retention_days,
        )
