"""Prompts that are in the store before the rest of their lines is read."""

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from types import TracebackType
from typing import Any, Final, Self

from app.db import Commit, Store, Tx
from app.domain.ids import Prefix, job_ids, new_id
from app.models import StoredText
from app.pipeline.calls import TEXT_COLUMNS
from app.vault.texts import PLAIN

#: Whoever copies early has a connection while reading its lines asks for others; if all did so at
#: once, none would be left. Others of the process copy once their lines are read.
_ONE: Final = threading.Lock()


class EarlyTexts:
    """The transaction of one submit, which begins while its lines are read if they are many.

    Reading a large file is our work, copying it the store's: one after the other takes as long
    again. On PostgreSQL alone, for SQLite's transaction would keep every other writer out.

    Nothing of it is seen by anybody before the commit, nor stays without it.

    Attributes:
        batch_id: the batch that the prompts are of.
    """

    def __init__(self, store: Store) -> None:
        self.batch_id = new_id(Prefix.BATCH)
        self._store = store
        self._may_begin = not store.is_sqlite
        self._exits = ExitStack()
        self._tx: Tx | None = None
        self._copied = 0
        self._copy: Callable[[Iterator[Any]], None]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Roll back what was not committed, for there is an error then."""
        self._exits.__exit__(kind, error, traceback)

    @property
    def has_begun(self) -> bool:
        """Whether prompts are in the store already, in plain."""
        return self._tx is not None

    def take(self, prompts: Sequence[bytes]) -> bool:
        """Copy the next prompts, as JSON; whether that was done, which holds for all of a batch.

        Raises:
            UnavailableError: the store is away.
        """
        if self._may_begin:
            self._may_begin = False
            if _ONE.acquire(blocking=False):
                self._begin()
        if self._tx is None:
            return False
        ids = job_ids(self.batch_id, self._copied, len(prompts))
        self._copied += len(prompts)
        self._copy(PLAIN.rows(ids, "prompt", self.batch_id, (one.decode() for one in prompts)))
        return True

    def _begin(self) -> None:
        self._exits.callback(_ONE.release)
        self._tx = self._exits.enter_context(self._store.transaction(Commit.SUBMIT))
        self._copying = self._exits.enter_context(ExitStack())
        self._copy = self._copying.enter_context(
            self._store.copying(self._tx, StoredText, TEXT_COLUMNS)
        )

    @contextmanager
    def rest(self) -> Iterator[Tx]:
        """What is left to write, in the transaction that the prompts are in, if there is one.

        Raises:
            UnavailableError: the store is away.
        """
        if self._tx is None:
            with self._store.transaction(Commit.SUBMIT) as tx:
                yield tx
            return
        with self._exits:
            self._copying.close()
            yield self._tx
