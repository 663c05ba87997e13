"""What a page about a batch shows beside the report: answers side by side, and how to repeat it."""

import hashlib
import heapq
import platform
from collections.abc import Iterator, Sequence
from importlib.metadata import PackageNotFoundError, version

import msgspec
import sqlalchemy as sa
from sqlmodel import Session, col

from app.domain.ids import job_range
from app.domain.plan import JudgeSpec, Plan
from app.domain.prompt import Prompt, Variant
from app.domain.states import Role
from app.domain.verdict import Verdict
from app.models import Batch, Call, Job, StoredCompletion, StoredText, StoredVerdict, UsageRow
from app.modes.blend_plan import answering, synthesis_label, synthesizer_of
from app.reports.contestants import judges_of
from app.reports.judgements import RESAMPLES, SEED
from app.reports.lines import JobRow, Lines
from app.reports.tallies import calls_of, latencies_by_label
from app.reports.views import ResultLine
from app.vault.texts import Texts, texts_of

DISPUTES_MAX = 5
EXCERPT_CHARS = 2_000
PERCENTS = (5, 25, 50, 75, 95)
_STREAMED = 500
_PACKAGES = ("overnight", "numpy")
_JOB = (Job.id, Job.position, Job.custom_id, Job.state, Job.reason, Job.message, Job.plan)


class Said(msgspec.Struct, frozen=True):
    """One answer to a prompt, with its score and the reasons for it."""

    label: str
    text: str
    score: str
    reasoning: str


class Dispute(msgspec.Struct, frozen=True):
    """A job on which the best and the worst are far apart, by so many points."""

    custom_id: str
    spread: str
    prompt: str
    overall: str
    answers: list[Said]


class Made(msgspec.Struct, frozen=True):
    """A model as it was asked for and as it answered, and with what parameters."""

    label: str
    role: str
    model: str
    returned: str
    params: str


class Details(msgspec.Struct, frozen=True):
    """Everything beside the report; `latencies` are the percentiles of `PERCENTS`, by label."""

    disputes: list[Dispute] = []
    made: list[Made] = []
    latencies: dict[str, tuple[int, ...]] = {}
    facts: dict[str, str] = {}


class _Score(msgspec.Struct, frozen=True):
    score: float


class _Scored(msgspec.Struct, frozen=True):
    scores: list[_Score]


_SCORED = msgspec.json.Decoder(_Scored)


def details(session: Session, batch: Batch, plan: Plan) -> Details:
    """The details of a batch.

    Raises:
        GoneError: its text was destroyed.
    """
    batch_id, texts = batch.id, texts_of(session, batch)
    return Details(
        disputes=_disputes(session, batch_id, plan, texts) if judges_of(plan) else [],
        made=_made(session, batch_id, plan),
        latencies=latencies_by_label(session, batch_id, PERCENTS),
        facts={**_judging(plan), **_facts(session, batch_id, texts)},
    )


def _disputes(session: Session, batch_id: str, plan: Plan, texts: Texts) -> list[Dispute]:
    most = heapq.nlargest(DISPUTES_MAX, _spreads(session, batch_id, texts))
    ids = [job_id for _, job_id in most]
    rows = session.connection().execute(
        sa.select(*_JOB).where(col(Job.id).in_(ids))  # type: ignore[call-overload]
    )
    jobs = {row[0]: JobRow(*row) for row in rows}
    lines = Lines(plan).of(session, [jobs[job_id] for job_id in ids])
    return [
        _dispute(session, line, spread, texts)
        for line, (spread, _) in zip(lines, most, strict=True)
    ]


def _spreads(session: Session, batch_id: str, texts: Texts) -> Iterator[tuple[float, str]]:
    """How far the scores of each job are apart, where they are."""
    statement = (
        sa.select(col(StoredVerdict.job_id), col(StoredVerdict.body))
        .where(col(StoredVerdict.batch_id) == batch_id)
        .execution_options(yield_per=_STREAMED)
    )
    for job_id, body in session.connection().execute(statement):
        scores = [one.score for one in _SCORED.decode(texts.open("verdict", job_id, body)).scores]
        if scores and max(scores) > min(scores):
            yield max(scores) - min(scores), job_id


def _dispute(session: Session, line: ResultLine, spread: float, texts: Texts) -> Dispute:
    verdict = msgspec.json.decode(line.verdict or b'{"winner":null,"scores":[]}', type=Verdict)
    said = {one.label: one.text or "" for one in line.completions if one.role != Role.JUDGE}
    stored = session.get(StoredText, (line.job_id, "prompt"))
    asked = texts.open("prompt", line.job_id, stored.body) if stored else '{"messages":[]}'
    prompt = msgspec.json.decode(asked, type=Prompt).messages
    return Dispute(
        custom_id=line.custom_id,
        spread=f"{spread:.2f}",
        prompt=excerpt("\n\n".join(f"{one.role}: {one.text}" for one in prompt)),
        overall=excerpt(verdict.overall),
        answers=[
            Said(
                label=one.label,
                text=excerpt(said.get(one.label, "")),
                score=f"{one.score:.2f}",
                reasoning=excerpt(one.reasoning),
            )
            for one in verdict.scores
        ],
    )


def excerpt(text: str) -> str:
    """The beginning of a text, which says so where it is not the whole."""
    if len(text) <= EXCERPT_CHARS:
        return text
    return f"{text[:EXCERPT_CHARS]}… ({len(text) - EXCERPT_CHARS} characters more)"


def _made(session: Session, batch_id: str, plan: Plan) -> list[Made]:
    """Every model of every plan; one that is asked alike in several of them once."""
    returned = _returned(session, batch_id)
    made = (
        Made(
            label=one.label,
            role=role.value,
            model=str(one.ref),
            returned=", ".join(returned.get((role.value, one.label), ())) or "not told",
            params=msgspec.json.encode(one.params).decode(),
        )
        for role, one in _asked(plan)
    )
    return list(dict.fromkeys(made))


def _asked(plan: Plan) -> Iterator[tuple[Role, Variant]]:
    for one in plan.all:
        fallback = one.mesh.fallback if one.mesh else ()
        answer = answering(one) if one.mode == "blend" else one.variants
        yield from ((Role.CANDIDATE, variant) for variant in (*answer, *fallback))
        if one.mode == "blend":
            blend = msgspec.structs.replace(synthesizer_of(one), label=synthesis_label(1))
            yield Role.SYNTHESIZER, blend
        yield from ((Role.JUDGE, judge) for judge in (one.judge.judges if one.judge else ()))


def _returned(session: Session, batch_id: str) -> dict[tuple[str, str], Sequence[str]]:
    """What the providers called the models that answered, by role and label."""
    name = col(StoredCompletion.model_returned)
    rows = session.connection().execute(
        sa.select(col(Call.role), col(Call.label), name)
        .select_from(Call)
        .join(StoredCompletion, col(StoredCompletion.call_id) == Call.id)
        .where(calls_of(batch_id), name.is_not(None))
        .distinct()
    )
    found: dict[tuple[str, str], list[str]] = {}
    for role, label, model in rows:
        found.setdefault((role, label), []).append(str(model))
    return {key: sorted(names) for key, names in found.items()}


def _judging(plan: Plan) -> dict[str, str]:
    """How answers were judged, of each way in which they were, without the judges."""
    ways = dict.fromkeys(_judged_by(one.judge) for one in plan.all if one.judge is not None)
    if not ways:
        return {}
    return {
        "judging": "; ".join(ways),
        "order of the answers": "drawn for each question from the job's id (with `cache`, from what "
        "it asks), the judge's place on the panel, and the pair",
        "bootstrap": f"{RESAMPLES} resamples of the prompts, seed {SEED}",
    }


def _judged_by(spec: JudgeSpec) -> str:
    told = msgspec.to_builtins(spec)
    del told["judges"]
    return msgspec.json.encode({"scoring": spec.scoring, **told}).decode()


def _facts(session: Session, batch_id: str, texts: Texts) -> dict[str, str]:
    prices = session.connection().execute(
        sa.select(col(UsageRow.price_version)).where(col(UsageRow.batch_id) == batch_id).distinct()
    )
    return {
        "SHA-256 of the prompts": _prompts_sha256(session, batch_id, texts),
        "prices": ", ".join(sorted(one for (one,) in prices if one)) or "none",
        **{name: _version(name) for name in _PACKAGES},
        "Python": platform.python_version(),
    }


def _prompts_sha256(session: Session, batch_id: str, texts: Texts) -> str:
    """Of every stored prompt as JSON, in job order, each followed by a line feed."""
    digest = hashlib.sha256()
    rows = session.connection().execute(
        sa.select(col(StoredText.owner_id), col(StoredText.body))
        .where(col(StoredText.owner_id).between(*job_range(batch_id, 0)))
        .where(col(StoredText.kind) == "prompt")
        .order_by(col(StoredText.owner_id))
        .execution_options(yield_per=_STREAMED)
    )
    for job_id, body in rows:
        digest.update(texts.open("prompt", job_id, body).encode() + b"\n")
    return digest.hexdigest()


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"
