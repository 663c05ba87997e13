"""retry: terminal is terminal, so what failed or is missing runs again as a new batch."""

import hashlib
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import msgspec
from sqlalchemy import ColumnElement
from sqlmodel import Session, col, select

from app.db import Tx
from app.domain.errors import ConflictError, NotFoundError
from app.domain.ids import job_range
from app.domain.plan import Plan
from app.domain.prompt import Prompt
from app.domain.spec import BatchBody, JobLine, WebhookBody
from app.domain.states import BATCH_CLOSED, JobState
from app.models import Account, Batch, BatchSpec, Endpoint, Event, Job, OpenAIBatch, StoredText
from app.pipeline.early_texts import EarlyTexts
from app.pipeline.lines import RawLine
from app.pipeline.services import Services
from app.pipeline.spool import Spool
from app.pipeline.submit import Submission, Submitted, submit
from app.vault.texts import Texts, texts_of
from app.vault.webhook_secrets import open_webhook_secret
from app.webhooks.events import EventType, batch_event

_PAGE = 1000


def retry(
    services: Services, account_id: str, batch_id: str, idempotency_key: str | None = None
) -> Submitted:
    """Submit the jobs of a closed batch that did not succeed, with the same settings.

    Raises:
        NotFoundError: the account has no such batch.
        GoneError: its text was destroyed.
        ConflictError: it is still open, every job of it succeeded, or the key was used for
            something else.
    """
    with services.store.read() as session:
        batch = session.get(Batch, batch_id)
        if batch is None or batch.account_id != account_id:
            raise NotFoundError(f"there is no batch {batch_id[:64]!r}")
        if batch.state not in BATCH_CLOSED:
            raise ConflictError(f"the batch is {batch.state}; it can be retried once it is closed")
        if batch.jobs_succeeded == batch.jobs_total:
            raise ConflictError("every job of the batch succeeded; there is nothing to retry")
        body = _body(services, session, batch)
        texts = texts_of(session, batch)
        submission = Submission(
            account_id,
            body,
            _lines(session, batch_id, texts),
            idempotency_key,
            body_sha256=hashlib.sha256(f"retry {batch_id}".encode()).hexdigest(),
            retry_of=batch_id,
            retried=_positions(session, batch_id),
            door=_door(session, batch_id, texts),
        )
        return submit(services, submission)


def _body(services: Services, session: Session, batch: Batch) -> BatchBody:
    """What the client wrote then; a start that has passed is now, and so is its deadline."""
    body = BatchBody.model_validate_json(session.get_one(BatchSpec, batch.id).body)
    relative = body.deadline is None or (body.deadline[:1].isdigit() and len(body.deadline) <= 7)  # noqa: PLR2004
    return body.model_copy(
        update={
            "not_before": None,
            "input_file_id": None,  # its lines are those of the jobs
            "deadline": body.deadline if relative else "24h",
            # Whoever tries again has seen the sample, unless there was none to see yet.
            "sample": None if _had_sample(session, batch) else body.sample,
            "webhook": _webhook(services, session, batch),
        }
    )


def _had_sample(session: Session, batch: Batch) -> bool:
    key = batch_event(EventType.BATCH_SAMPLE_DONE, batch.id, batch.created_at).key
    return session.exec(select(Event.id).where(Event.event_key == key)).first() is not None


def _webhook(services: Services, session: Session, batch: Batch) -> WebhookBody | None:
    endpoint = session.exec(select(Endpoint).where(Endpoint.batch_id == batch.id)).first()
    if endpoint is None:
        return None
    secret = None
    if endpoint.secret_sealed is not None:
        account = session.get_one(Account, batch.account_id)
        secret = open_webhook_secret(
            services.vault, account, endpoint.id, endpoint.secret_sealed
        ).reveal()
    return WebhookBody(url=endpoint.url, secret=secret)


class _Again:
    """The lines of another door once more, as they were read then, each with its plan."""

    def __init__(self, session: Session, batch_id: str, texts: Texts) -> None:
        self._session, self._batch_id, self._texts = session, batch_id, texts

    def read(self, _early: EarlyTexts) -> tuple[Plan, Spool]:
        """The plans as they are stored, and the jobs that did not succeed."""
        spool = Spool()
        try:
            for job in _unanswered(self._session, self._batch_id, self._texts):
                spool.name(job.custom_id, job.where)
                spool.add(job.prompt, job.plan)
        except BaseException:
            spool.close()
            raise
        spec = self._session.get_one(BatchSpec, self._batch_id)
        return msgspec.json.decode(spec.plan, type=Plan), spool

    def keep(self, tx: Tx, batch: Batch) -> None:
        """Nothing: its answers are read here, or joined with those of the first."""


def _door(session: Session, batch_id: str, texts: Texts) -> _Again | None:
    through = session.get(OpenAIBatch, batch_id)
    return None if through is None else _Again(session, batch_id, texts)


def _lines(session: Session, batch_id: str, texts: Texts) -> Iterator[RawLine]:
    """The jobs that did not succeed, as the lines of a new input."""
    for job in _unanswered(session, batch_id, texts):
        line = JobLine(job.custom_id, job.prompt.messages, None, job.prompt.reference)
        yield RawLine(job.where, msgspec.json.encode(line))


class _Unanswered(NamedTuple):
    """A job that did not succeed."""

    position: int
    custom_id: str
    plan: int
    prompt: Prompt

    @property
    def where(self) -> str:
        """What to call it in an error."""
        return f"job {self.position}"


def _unanswered(session: Session, batch_id: str, texts: Texts) -> Iterator[_Unanswered]:
    """The jobs that did not succeed, in order."""
    after = 0
    while True:
        rows = session.execute(
            select(Job.id, Job.position, Job.custom_id, Job.plan, StoredText.body)  # type: ignore[call-overload]
            .join(
                StoredText,
                (col(StoredText.owner_id) == Job.id) & (col(StoredText.kind) == "prompt"),
            )
            .where(*_not_answered(batch_id, after))
            .order_by(col(Job.id))
            .limit(_PAGE)
        ).all()
        for job_id, position, custom_id, plan, body in rows:
            text = texts.open("prompt", job_id, body)
            yield _Unanswered(position, custom_id, plan, msgspec.json.decode(text, type=Prompt))
        if len(rows) < _PAGE:
            return
        after = rows[-1][1] + 1


def _positions(session: Session, batch_id: str) -> Sequence[int]:
    """The positions of the same jobs: a closed batch's do not change any more."""
    where = _not_answered(batch_id, 0)
    return session.exec(select(Job.position).where(*where).order_by(col(Job.id))).all()


def _not_answered(batch_id: str, after: int) -> tuple[ColumnElement[bool], ...]:
    return col(Job.id).between(*job_range(batch_id, after)), col(Job.state) != JobState.SUCCEEDED
