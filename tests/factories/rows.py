"""Real rows, each with what it needs and no more; what a test is about, it says."""

from typing import Any

from app.billing.ledger import grant
from app.db import Store
from app.domain.ids import Prefix, new_id
from app.models import Account, Batch, Call, Job, Lane, StoredCompletion, UsageRow, Worker


def make_account(store: Store, *, credits_nanos: int = 0, **values: Any) -> str:
    """An account, with credits granted if any; its id."""
    account_id = new_id(Prefix.ACCOUNT)
    with store.transaction() as tx:
        row = {
            "id": account_id,
            "name": "Ada",
            "created_at": store.now(tx),
            "data_key_wrapped": "wrapped",
            "data_key_kid": "kid",
            "webhook_secret_sealed": "sealed",
        }
        tx.add(Account(**(row | values)))
        tx.flush()
        if credits_nanos:
            grant(tx, store, account_id, credits_nanos, idempotency_key="first")
    return account_id


def make_batch(store: Store, account_id: str, **values: Any) -> str:
    """A running batch without jobs; its id."""
    batch_id = new_id(Prefix.BATCH)
    with store.transaction() as tx:
        row = {
            "id": batch_id,
            "account_id": account_id,
            "mode": "chat",
            "state": "running",
            "created_at": store.now(tx),
            "jobs_total": 0,
        }
        tx.add(Batch(**(row | values)))
    return batch_id


def make_lane(store: Store, *, account_id: str | None = None, **values: Any) -> str:
    """A lane, the platform's unless an account is named; its id."""
    lane_id = new_id(Prefix.LANE)
    with store.transaction() as tx:
        row = {
            "id": lane_id,
            "account_id": account_id,
            "provider": "openai",
            "billed": "byok" if account_id else "credits",
            "created_at": store.now(tx),
        }
        tx.add(Lane(**(row | values)))
    return lane_id


def make_job(store: Store, account_id: str, batch_id: str, **values: Any) -> str:
    """A running job of a batch; its id."""
    job_id = new_id(Prefix.JOB)
    with store.transaction() as tx:
        row = {
            "id": job_id,
            "batch_id": batch_id,
            "account_id": account_id,
            "position": 0,
            "custom_id": job_id,
            "state": "running",
        }
        tx.add(Job(**(row | values)))
    return job_id


def make_call(store: Store, account_id: str, batch_id: str, job_id: str, **values: Any) -> str:
    """A queued call of a job, through no lane in particular; its id."""
    call_id = new_id(Prefix.CALL)
    with store.transaction() as tx:
        now = store.now(tx)
        row = {
            "id": call_id,
            "job_id": job_id,
            "batch_id": batch_id,
            "account_id": account_id,
            "lane_id": "lane_any",
            "model": "gpt-4o",
            "label": "openai/gpt-4o",
            "role": "candidate",
            "round": 1,
            "rank": 0,
            "due_at": now,
            "created_at": now,
        }
        tx.add(Call(**(row | values)))
    return call_id


def make_completion(store: Store, call_id: str, **values: Any) -> None:
    """What a call answered, but for the text and what it used."""
    with store.transaction() as tx:
        row = {
            "call_id": call_id,
            "epoch": 1,
            "finish_reason": "stop",
            "latency_ms": 200,
            "created_at": store.now(tx),
        }
        tx.add(StoredCompletion(**(row | values)))


def make_usage(store: Store, account_id: str, batch_id: str, call_id: str, **values: Any) -> None:
    """What a completion used: 10 tokens in and 10 out, billed to credits."""
    with store.transaction() as tx:
        row = {
            "call_id": call_id,
            "account_id": account_id,
            "batch_id": batch_id,
            "lane_id": "lane_any",
            "provider": "openai",
            "model": "gpt-4o",
            "label": "openai/gpt-4o",
            "role": "candidate",
            "billed": "credits",
            "input_tokens": 10,
            "cache_read_tokens": 0,
            "cache_write_tokens": 0,
            "output_tokens": 10,
            "reasoning_tokens": 0,
            "estimated": False,
            "latency_ms": 200,
            "created_at": store.now(tx),
        }
        tx.add(UsageRow(**(row | values)))


def make_worker(store: Store, **values: Any) -> str:
    """A worker whose lease is just running out; its id."""
    worker_id = new_id(Prefix.WORKER)
    with store.transaction() as tx:
        now = store.now(tx)
        row = {
            "id": worker_id,
            "host": "here",
            "pid": 1,
            "version": "test",
            "started_at": now,
            "lease_until": now,
        }
        tx.add(Worker(**(row | values)))
    return worker_id
