"""A judged batch of many jobs, written the fast way, for plans and measurements."""

import msgspec

from app.db import Store, Tx
from app.domain.ids import Prefix, job_ids, new_ids
from app.domain.plan import Plan
from app.domain.prompt import Message, Prompt
from app.domain.verdict import JudgeScore, Score, Verdict
from app.models import (
    Account,
    Attempt,
    Batch,
    Call,
    Job,
    StoredCompletion,
    StoredText,
    StoredVerdict,
    Table,
    UsageRow,
)
from tests.factories.base import NIGHT, as_json, lane_of
from tests.factories.plans import make_judge_plan
from tests.factories.rows import make_batch

CONTESTANTS = ("simulated/a", "simulated/b", "simulated/c", "simulated/d")
JUDGE = "simulated/judge"
_CHUNK = 2_000
Rows = dict[type[Table], list[dict[str, object]]]


def make_big_batch(store: Store, account: Account, jobs: int, *, chars: int = 200) -> str:
    """A closed batch whose every job has four answers of so many characters, and a verdict."""
    plan = make_judge_plan(*CONTESTANTS, judges=[JUDGE])
    with store.transaction() as tx:
        batch = make_batch(tx, account, plan, state="completed", closed_at=NIGHT)
        batch.jobs_total = batch.jobs_succeeded = jobs
        batch.calls_total = batch.calls_closed = jobs * (len(CONTESTANTS) + 1)
        lane_id = lane_of(tx, account.id, "simulated").id
        tx.flush()
        for start in range(0, jobs, _CHUNK):
            count = min(_CHUNK, jobs - start)
            _insert(tx, store, _rows(batch, plan, lane_id, range(start, start + count), chars))
    return batch.id


def analyze(store: Store) -> None:
    """Let the planner know what is there."""
    with store.transaction() as tx:
        tx.connection().exec_driver_sql("ANALYZE")


def _insert(tx: Tx, store: Store, rows: Rows) -> None:
    for table, of_table in rows.items():
        columns = list(of_table[0])
        store.insert_rows(tx, table, columns, (list(row.values()) for row in of_table))


def _rows(batch: Batch, plan: Plan, lane_id: str, positions: range, chars: int) -> Rows:
    judges = plan.judge.judges if plan.judge else ()
    rows: Rows = {
        table: []
        for table in (Job, StoredText, Call, Attempt, StoredCompletion, UsageRow, StoredVerdict)
    }
    first, count = positions.start, len(positions)
    for position, id_ in zip(positions, job_ids(batch.id, first, count), strict=True):
        prompt = as_json(Prompt([Message("user", f"Question {position}?")]))
        rows[StoredText].append(_text(batch, id_, "prompt", prompt))
        rows[Job].append(_job(batch, id_, position))
        called = [(one, "candidate", 1) for one in plan.variants]
        called += [(one, "judge", 2) for one in judges]
        for call_id, (one, role, round_) in zip(
            new_ids(Prefix.CALL, len(called)), called, strict=True
        ):
            what = {"model": one.ref.model, "label": one.label, "role": role}
            shared = {
                "account_id": batch.account_id,
                "batch_id": batch.id,
                "lane_id": lane_id,
                "created_at": NIGHT,
            }
            rows[Call].append(
                {"id": call_id, "job_id": id_} | _call(position, round_) | what | shared
            )
            rows[Attempt].append(_attempt(call_id))
            rows[StoredCompletion].append(_completion(call_id))
            rows[UsageRow].append({"call_id": call_id} | _usage(position) | what | shared)
            rows[StoredText].append(_text(batch, call_id, "answer", "x" * chars))
        rows[StoredVerdict].append(_verdict(batch, id_, position))
    return rows


def _job(batch: Batch, job_id: str, position: int) -> dict[str, object]:
    return {
        "id": job_id,
        "batch_id": batch.id,
        "account_id": batch.account_id,
        "position": position,
        "custom_id": f"q{position + 1}",
        "state": "succeeded",
        "round": 2,
        "outstanding": 0,
        "plan": 0,
        "closed_at": NIGHT,
    }


def _text(batch: Batch, owner_id: str, kind: str, body: str) -> dict[str, object]:
    return {"owner_id": owner_id, "kind": kind, "batch_id": batch.id, "body": body}


def _call(position: int, round_: int) -> dict[str, object]:
    return {
        "round": round_,
        "rank": position,
        "fail_fast": False,
        "state": "succeeded",
        "due_at": NIGHT,
        "epoch": 1,
        "attempts": 0,
        "unknowns": 0,
        "crash_count": 0,
        "tokens_bound": 0,
        "closed_at": NIGHT,
    }


def _attempt(call_id: str) -> dict[str, object]:
    return {
        "call_id": call_id,
        "epoch": 1,
        "worker_id": "wrk_1",
        "state": "succeeded",
        "started_at": NIGHT,
        "finished_at": NIGHT,
    }


def _completion(call_id: str) -> dict[str, object]:
    return {
        "call_id": call_id,
        "epoch": 1,
        "finish_reason": "stop",
        "latency_ms": 100,
        "created_at": NIGHT,
    }


def _usage(position: int) -> dict[str, object]:
    return {
        "provider": "simulated",
        "billed": "byok",
        "input_tokens": 10,
        "cache_read_tokens": 0,
        "cache_write_tokens": 0,
        "output_tokens": 20,
        "reasoning_tokens": 0,
        "estimated": False,
        "cost_nanos": 1_000,
        "latency_ms": 100 + position % 100,
    }


def _verdict(batch: Batch, job_id: str, position: int) -> dict[str, object]:
    marks = {label: 9.0 - place - position % 3 / 2 for place, label in enumerate(CONTESTANTS)}
    scores = [Score(label, mark, place + 1) for place, (label, mark) in enumerate(marks.items())]
    judged = [JudgeScore(JUDGE, label, mark, "Good.") for label, mark in marks.items()]
    verdict = Verdict(CONTESTANTS[0], scores, "So.", judges=judged)
    body = msgspec.json.encode(verdict).decode()
    return {
        "job_id": job_id,
        "batch_id": batch.id,
        "winner": verdict.winner,
        "abstained": 0,
        "body": body,
    }
