"""Every commit there is, by name, and the moments beside each at which a process may be killed.

`OVERNIGHT_CRASH_AT` names such a moment: `record.before` is just before the writer's commit,
`record.after` just after it and before anything that follows from it, `record.after@3` the third
time. The process is then gone, as if by kill -9: nothing is flushed, said or given back.
"""

import itertools
import os
import signal
import sys
from enum import StrEnum

from app.domain.errors import SetupError


class Commit(StrEnum):
    """A transaction of the product, by what it makes durable."""

    ACCOUNT = "account"  # the local account and its key
    NEW_ACCOUNT = "new_account"  # an operator's, and its first key
    ACCOUNT_STATE = "account_state"  # disabled, or enabled again
    LIMITS = "limits"  # an account's own
    API_KEY = "api_key"
    API_KEY_REVOKED = "api_key_revoked"
    KEY_USED = "key_used"  # when an API key was used last
    PLATFORM_LANES = "platform_lanes"  # the operator's credentials, as a process starts
    PROVIDER_KEY = "provider_key"
    PROVIDER_KEY_DELETED = "provider_key_deleted"
    ROTATE = "rotate"  # some accounts' data keys, wrapped by another master key
    ROTATED = "rotated"  # that all of them were
    GRANT = "grant"  # credits
    CREDITS_ADJUSTED = "credits_adjusted"
    CREDITS_REFUNDED = "credits_refunded"
    PRICES = "prices"  # an account's own

    UPLOAD = "upload"  # an input file is known
    FILE_EXPIRE = "file_expire"  # a file is as good as gone
    FILE_DROP = "file_drop"  # files whose bytes are deleted are known no more
    SUBMIT = "submit"
    CANCEL = "cancel"
    PAUSE = "pause"
    RESUME = "resume"

    PLAN = "plan"  # a chunk of jobs
    CLAIM = "claim"  # calls, their attempts and their reservation
    BUDGET = "budget"  # whether a batch whose budget has no room ends
    REST = "rest"  # nothing of a lane is due for a while
    WAIT = "wait"  # why a lane waits
    PARK = "park"  # a lane whose key was refused or quota used up, or whose quota is there again
    RECORD = "record"  # a group of finished attempts, by the writer or for a lost worker
    ADVANCE = "advance"  # a group of jobs whose round is done: advance, judge and blend
    FINALIZE = "finalize"  # no job of a batch will change any more
    CLOSE = "close"  # its books, and the event that says so

    DELIVERY_GIVE_BACK = "delivery_give_back"  # what lost workers were at
    DELIVERY_CLAIM = "delivery_claim"
    DELIVERY_RECORD = "delivery_record"

    ENDPOINT = "endpoint"  # a webhook endpoint is made
    ENDPOINT_CHANGED = "endpoint_changed"
    ENDPOINT_DELETED = "endpoint_deleted"
    SECRET_ROTATED = "secret_rotated"  # noqa: S105 - a commit
    REPLAY = "replay"  # events are told again

    LEASE = "lease"  # a worker registers
    RENEW = "renew"
    LEASE_END = "lease_end"
    RECONCILED = "reconciled"  # that a round of reconcile came to its end
    WORKER_FORGOTTEN = "worker_forgotten"  # a lost worker that holds nothing any more
    EXPIRE = "expire"  # batches whose deadline has passed
    CLOSE_OPEN = "close_open"  # a window of what an ending batch still has open
    CLOSE_WAITING = "close_waiting"  # a window of calls that waited too long
    ACKNOWLEDGE = "acknowledge"  # results are fetched, and their key is destroyed
    PRIVACY = "privacy"  # how an account's text is kept
    RETENTION = "retention"  # batches whose text has had its time
    ERASE = "erase"  # a window of a batch's texts
    ERASED = "erased"  # the last of them
    REWRAP = "rewrap"  # keys of batches, by today's key
    PURGE_BEGUN = "purge_begun"
    PURGE = "purge"  # a chunk of an account's content
    PURGE_FINISHED = "purge_finished"  # its receipt
    FORGET_KEYS = "forget_keys"  # idempotency keys after their days

    RESTORE = "restore"  # the whole of a backup


class CrashPoint:
    """The moment a process is to die at, once it comes.

    Raises:
        SetupError: there is no such moment.
    """

    def __init__(self, text: str) -> None:
        where, _, times = text.partition("@")
        name, _, side = where.partition(".")
        if (
            name not in set(Commit)
            or side not in {"before", "after"}
            or not (times or "1").isdigit()
        ):
            raise SetupError(
                "OVERNIGHT_CRASH_AT: give a commit's name with .before or .after, such as record.after"
            )
        self._where = where
        self._left = int(times or 1)
        self._passed = itertools.count(1)

    def pass_by(self, commit: Commit | None, side: str) -> None:
        """Die, if this is the moment."""
        if f"{commit}.{side}" == self._where and next(self._passed) == self._left:
            sys.stderr.write(f"OVERNIGHT_CRASH_AT {self._where}\n")
            sys.stderr.flush()
            os.kill(os.getpid(), signal.SIGKILL)
