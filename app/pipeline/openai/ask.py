"""ask: one body is one job, ahead of every batch of its account; whoever asks waits for it."""

from dataclasses import dataclass

from app.db import Tx
from app.domain.errors import InvalidRequestError
from app.domain.plan import Plan
from app.models import Batch
from app.pipeline.early_texts import EarlyTexts
from app.pipeline.openai.asked import ENDPOINTS, Raws
from app.pipeline.openai.beyond import batch_settings
from app.pipeline.openai.lines import read_one
from app.pipeline.openai.plans import Plans
from app.pipeline.services import Services
from app.pipeline.spool import Spool
from app.pipeline.submit import Submission, submit

#: How long anybody waits for an answer at most; what is not sent by then is not sent.
WAIT_MAX_S = 600
_DEADLINE = f"{WAIT_MAX_S // 60}m"


def ask(services: Services, account_id: str, endpoint: str, body: Raws) -> str:
    """Submit and plan one job; answers the id of its batch of one.

    Raises:
        InvalidRequestError: something of the body is wrong; `param` is relative to it.
        InsufficientCreditsError: the account's credits do not cover the hold.
    """
    settings = batch_settings({}).model_copy(update={"deadline": _DEADLINE})
    door = _One(services, account_id, endpoint, body)
    submission = Submission(account_id, settings, (), door=door, interactive=True)
    return submit(services, submission).batch_id


@dataclass(frozen=True, slots=True)
class _One:
    """Reads the one body, and keeps nothing beside its batch."""

    services: Services
    account_id: str
    endpoint: str
    body: Raws

    def read(self, _early: EarlyTexts) -> tuple[Plan, Spool]:
        """The plan, and a spool with one line."""
        plans = Plans(self.services.store, self.account_id, ENDPOINTS[self.endpoint], {})
        try:
            return read_one(self.body, plans)
        except RecursionError:
            raise InvalidRequestError("the body is nested too deeply") from None

    def keep(self, tx: Tx, batch: Batch) -> None:
        """Nothing: the answer goes to who waits for it."""
