"""A batch that is looked at again and again: what changed since, for whoever watches it."""

import hashlib
from typing import Any, NamedTuple

import msgspec
from sqlmodel import Session

from app.db import Store
from app.reports.owned import own_batch
from app.reports.progress import batch_view
from app.reports.views import BatchView

#: Of so many looks at a row that stays as it is, one asks what the batch waits for: that can
#: change without it.
_IDLE_LOOKS = 5
_VERSION_CHARS = 24


class Snapshot(NamedTuple):
    """A batch at one moment, and the version that this is of it."""

    version: str
    view: BatchView

    @property
    def is_last(self) -> bool:
        """Whether the batch is closed, so that no other follows."""
        return self.view.closed_at is not None


def version_of(view: BatchView) -> str:
    """What a batch as it is shown is known again by.

    It says nothing about the order. That time passes makes no version: `eta_s` is left out.
    """
    shown = msgspec.json.encode(msgspec.structs.replace(view, eta_s=None))
    return hashlib.sha256(shown).hexdigest()[:_VERSION_CHARS]


def snapshot_of(session: Session, account_id: str, batch_id: str) -> Snapshot:
    """The account's batch as it is now.

    Raises:
        NotFoundError: the account has no such batch.
    """
    view = batch_view(session, account_id, batch_id)
    return Snapshot(version_of(view), view)


class Watch:
    """Looks at one batch; mostly that is one row, read by its key."""

    def __init__(self, store: Store, account_id: str, batch_id: str) -> None:
        self._store = store
        self._whose = (account_id, batch_id)
        self._row: dict[str, Any] | None = None
        self._idle = 0
        self._version = ""

    def look(self) -> Snapshot | None:
        """The batch, if it is not as it was at the last look.

        Raises:
            NotFoundError: the account has no such batch (any more).
            UnavailableError: the store is busy or away.
        """
        with self._store.read() as session:
            row = own_batch(session, *self._whose).model_dump()
            self._idle += 1
            if row == self._row and self._idle < _IDLE_LOOKS:
                return None
            found = snapshot_of(session, *self._whose)
        self._row, self._idle = row, 0
        if found.version == self._version:
            return None
        self._version = found.version
        return found
