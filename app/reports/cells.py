"""What each contestant did on each job of a batch, as columns of numbers by the job's position."""

import hashlib
from array import array
from collections.abc import Iterator
from math import nan
from typing import NamedTuple

import msgspec
import sqlalchemy as sa
from sqlmodel import Session, col

from app.domain.ids import job_range
from app.domain.states import Billed, CallState, Role
from app.models import Batch, Call, Job, StoredText, StoredVerdict, UsageRow
from app.reports.tallies import calls_of
from app.vault.texts import Texts, texts_of

_STREAMED = 500
_DIGEST_BYTES = 8
#: Calls that were asked to the end.
_ENDED = sorted({CallState.SUCCEEDED, CallState.REFUSED, CallState.FAILED})


class Cells(NamedTuple):
    """A batch's jobs, and of each label a column of what is known; NaN is not known.

    `answered` is 1 or 0 where it was asked to the end. Costs are in nanodollars, latencies in
    milliseconds; an earlier answer that was used again has neither.
    """

    custom_ids: list[str]
    prompts: list[bytes]
    answered: "dict[str, array[float]]"
    costs: "dict[str, array[float]]"
    latencies: "dict[str, array[float]]"
    scores: "dict[str, array[float]]"


class _Score(msgspec.Struct, frozen=True):
    label: str
    score: float


class _Scored(msgspec.Struct, frozen=True):
    scores: list[_Score]


_SCORED = msgspec.json.Decoder(_Scored)


def cells_of(session: Session, batch: Batch) -> Cells:
    """Everything that can be paired of a batch.

    Raises:
        GoneError: its text was destroyed.
    """
    texts = texts_of(session, batch)
    places = {job_id: (place, name) for job_id, place, name in _jobs(session, batch.id)}
    cells = Cells([name for _, name in places.values()], [b""] * len(places), {}, {}, {}, {})
    for job_id, digest in _digests(session, batch.id, texts):
        cells.prompts[places[job_id][0]] = digest
    place_of: dict[str, int] = {}
    for call_id, job_id, label, state in _calls(session, batch.id):
        place = place_of[call_id] = places[job_id][0]
        _put(cells.answered, label, place, len(places), float(state == CallState.SUCCEEDED))
    for call_id, label, latency_ms, cost in _usage(session, batch.id):
        if (place := place_of.get(call_id, -1)) >= 0:
            _put(cells.latencies, label, place, len(places), latency_ms)
            _put(cells.costs, label, place, len(places), nan if cost is None else cost)
    for job_id, body in _verdicts(session, batch.id):
        for one in _SCORED.decode(texts.open("verdict", job_id, body)).scores:
            _put(cells.scores, one.label, places[job_id][0], len(places), one.score)
    return cells


def _put(
    columns: "dict[str, array[float]]", label: str, place: int, rows: int, value: float
) -> None:
    column = columns.get(label)
    if column is None:
        column = columns[label] = array("d", [nan]) * rows
    column[place] = value


def _jobs(session: Session, batch_id: str) -> Iterator[tuple[str, int, str]]:
    rows = session.connection().execute(
        sa.select(col(Job.id), col(Job.custom_id))
        .where(col(Job.id).between(*job_range(batch_id)))
        .order_by(col(Job.id))
    )
    return ((job_id, place, name) for place, (job_id, name) in enumerate(rows))


def _digests(session: Session, batch_id: str, texts: Texts) -> Iterator[tuple[str, bytes]]:
    """What each job asks, so short that many can be kept and compared."""
    rows = session.connection().execute(
        sa.select(col(StoredText.owner_id), col(StoredText.body))
        .where(col(StoredText.owner_id).between(*job_range(batch_id, 0)))
        .where(col(StoredText.kind) == "prompt")
        .execution_options(yield_per=_STREAMED)
    )
    for job_id, body in rows:
        prompt = texts.open("prompt", job_id, body).encode()
        yield job_id, hashlib.blake2b(prompt, digest_size=_DIGEST_BYTES).digest()


def _calls(session: Session, batch_id: str) -> Iterator[tuple[str, str, str, str]]:
    """How candidates and syntheses ended."""
    return iter(
        session.connection().execute(
            sa.select(col(Call.id), col(Call.job_id), col(Call.label), col(Call.state))
            .where(calls_of(batch_id), col(Call.role) != Role.JUDGE)
            .where(col(Call.state).in_(_ENDED))
            .execution_options(yield_per=_STREAMED)
        )
    )


def _usage(session: Session, batch_id: str) -> Iterator[tuple[str, str, int, int | None]]:
    """What their answers took. Not joined with them: a store without statistics joins badly."""
    usage = (col(UsageRow.latency_ms), col(UsageRow.cost_nanos))
    return iter(
        session.connection().execute(
            sa.select(col(UsageRow.call_id), col(UsageRow.label), *usage)
            .where(col(UsageRow.batch_id) == batch_id, col(UsageRow.role) != Role.JUDGE)
            .where(col(UsageRow.billed) != Billed.CACHED)
            .execution_options(yield_per=_STREAMED)
        )
    )


def _verdicts(session: Session, batch_id: str) -> Iterator[tuple[str, str]]:
    return iter(
        session.connection().execute(
            sa.select(col(StoredVerdict.job_id), col(StoredVerdict.body))
            .where(col(StoredVerdict.batch_id) == batch_id)
            .execution_options(yield_per=_STREAMED)
        )
    )
