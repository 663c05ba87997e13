"""create: a batch of OpenAI's, from an input file that was uploaded before."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import msgspec

from app.db import Commit, Tx
from app.domain.errors import InvalidRequestError, NotFoundError
from app.domain.ids import Prefix, new_id
from app.domain.plan import Plan
from app.domain.spec import BatchBody
from app.domain.states import BatchState
from app.models import Batch, InputFile, OpenAIBatch
from app.pipeline.early_texts import EarlyTexts
from app.pipeline.keeping import check_keeping
from app.pipeline.lines import spool_for
from app.pipeline.openai.asked import ENDPOINTS
from app.pipeline.openai.beyond import Fields, batch_defaults, batch_settings
from app.pipeline.openai.lines import LineError, LinesRefusedError, read_lines
from app.pipeline.openai.plans import Plans
from app.pipeline.services import Services
from app.pipeline.specs import keep_spec
from app.pipeline.spool import Spool
from app.pipeline.stored_files import content_of
from app.pipeline.submit import Submission, Submitted, submit
from app.pipeline.tell import tell
from app.webhooks.events import EventType, batch_event

_WINDOW = re.compile(r"[1-9]\d{0,5}[mhd]", re.ASCII)


@dataclass(frozen=True, slots=True)
class NewBatch:
    """What is asked for, in OpenAI's words (`openai.types.batch_create_params`)."""

    account_id: str
    input_file_id: str
    endpoint: str
    completion_window: str
    metadata: Mapping[str, str] = field(default_factory=dict)
    output_kept_s: int | None = None
    idempotency_key: str | None = None
    body_sha256: str = ""


def create_batch(services: Services, asked: NewBatch) -> Submitted:
    """Accept a batch, durably; or, where its input is wrong, a batch that says so and has failed.

    Raises:
        InvalidRequestError: the request itself is wrong; names the field.
        InsufficientCreditsError: the account's credits do not cover the hold.
    """
    _check(asked)
    settings = batch_settings(asked.metadata)
    body = settings.model_copy(
        update={
            "deadline": asked.completion_window,
            "input_file_id": asked.input_file_id,
            "metadata": dict(asked.metadata),
        }
    )
    with services.store.read() as session:
        is_sealed = check_keeping(session, asked.account_id, body) is not None
    defaults, chunks = batch_defaults(asked.metadata), _input_of(services, asked)
    door = _Door(services, asked, defaults, chunks, is_sealed=is_sealed)
    submission = Submission(
        asked.account_id,
        body,
        (),
        idempotency_key=asked.idempotency_key,
        body_sha256=asked.body_sha256,
        door=door,
    )
    try:
        return submit(services, submission)
    except LinesRefusedError as refusal:
        return Submitted(_keep_refused(services, door, body, refusal.errors), created=True)


def _check(asked: NewBatch) -> None:
    if asked.endpoint not in ENDPOINTS:
        raise InvalidRequestError(
            f"endpoint: {asked.endpoint[:80]!r} is none of {', '.join(ENDPOINTS)}", param="endpoint"
        )
    if not _WINDOW.fullmatch(asked.completion_window):
        raise InvalidRequestError(
            "completion_window: give 24h, or another span such as 90m, 1h or 7d",
            param="completion_window",
        )


def _input_of(services: Services, asked: NewBatch) -> Iterator[bytes]:
    """The bytes of the input file.

    Raises:
        InvalidRequestError: there is no such file, or it is no input.
    """
    param = "input_file_id"
    try:
        row, chunks = content_of(services, asked.account_id, asked.input_file_id)
    except NotFoundError as error:
        raise InvalidRequestError(f"{param}: {error.message}", param=param) from None
    if not _is_input(row):
        raise InvalidRequestError(
            f"{param}: is no JSONL file that was uploaded for a batch", param=param
        )
    return chunks


def _is_input(row: InputFile) -> bool:
    return row.purpose == "batch" and row.format == "jsonl"


class _Door:
    """Reads the lines of the input, and keeps what OpenAI's clients ask for later."""

    def __init__(
        self,
        services: Services,
        asked: NewBatch,
        defaults: Fields,
        chunks: Iterator[bytes],
        *,
        is_sealed: bool,
    ) -> None:
        self._services, self._asked = services, asked
        self.account_id = asked.account_id
        self._defaults = defaults
        self._chunks = chunks
        self._is_sealed = is_sealed
        self._models: set[str] = set()

    def read(self, early: EarlyTexts) -> tuple[Plan, Spool]:
        """The plans, and the lines, checked."""
        endpoint = self._asked.endpoint
        plans = Plans(
            self._services.store, self._asked.account_id, ENDPOINTS[endpoint], self._defaults
        )
        spool = spool_for(early, is_sealed=self._is_sealed)
        read_lines(self._chunks, endpoint, plans, spool)
        self._models = plans.models
        return plans.plan, spool

    def keep(self, tx: Tx, batch: Batch) -> None:
        """What the batch is in OpenAI's words, with the names of its files."""
        tx.add(self.row_of(batch))

    def row_of(self, batch: Batch, errors: list[LineError] | None = None) -> OpenAIBatch:
        """The door's own row of a batch."""
        asked = self._asked
        return OpenAIBatch(
            batch_id=batch.id,
            account_id=batch.account_id,
            endpoint=asked.endpoint,
            completion_window=asked.completion_window,
            model=next(iter(self._models)) if len(self._models) == 1 else None,
            errors=None if errors is None else msgspec.json.encode(errors).decode(),
            output_file_id=new_id(Prefix.FILE),
            error_file_id=new_id(Prefix.FILE),
            output_kept_s=asked.output_kept_s,
        )


def _keep_refused(services: Services, door: _Door, body: BatchBody, errors: list[LineError]) -> str:
    """A batch that failed before it began: it has no job, holds nothing, and says why."""
    store = services.store
    with store.transaction(Commit.SUBMIT) as tx:
        now = store.now(tx)
        batch = Batch(
            id=new_id(Prefix.BATCH),
            account_id=door.account_id,
            name=body.name,
            mode=body.mode,
            state=BatchState.FAILED.value,
            input_file_id=body.input_file_id,
            created_at=now,
            closed_at=now,
            jobs_total=0,
            jobs_queued=0,
        )
        tx.add(batch)
        tx.flush()
        keep_spec(tx, batch, Plan(body.mode, ()), body)
        tx.add(door.row_of(batch, errors))
        tx.flush()
        event = batch_event(EventType.BATCH_FAILED, batch.id, now)
        tell(tx, services, batch.account_id, batch.id, event)
    return batch.id
