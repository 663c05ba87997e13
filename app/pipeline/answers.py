"""What calls answered and what jobs came to, as rows; their texts as the batch keeps them."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from app.db import Store, Tx
from app.domain.plan import Outcome
from app.models import StoredCompletion, StoredText, StoredVerdict, UsageRow
from app.pipeline.calls import TEXT_COLUMNS
from app.pipeline.outcomes import Finished
from app.vault.texts import Texts

_VERDICT_COLUMNS = ("job_id", "batch_id", "winner", "abstained", "body")
_COMPLETION_COLUMNS = (
    "call_id", "epoch", "finish_reason", "model_returned", "latency_ms", "flags", "created_at",
)  # fmt: skip
_USAGE_COLUMNS = (
    "call_id", "account_id", "batch_id", "lane_id", "provider", "model", "label", "role", "billed",
    "input_tokens", "cache_read_tokens", "cache_write_tokens", "output_tokens", "reasoning_tokens",
    "estimated", "cost_nanos", "price_version", "latency_ms", "raw", "created_at",
)  # fmt: skip


def insert_answers(
    tx: Tx, store: Store, kept: Sequence[Finished], now: Any, texts: Mapping[str, Texts]
) -> None:
    """Write what was answered: completions, usage, and texts as their batches keep them."""
    answered = [one for one in kept if one.completion is not None]
    if not answered:
        return
    store.insert_rows(
        tx, StoredCompletion, _COMPLETION_COLUMNS, [_completion_row(one, now) for one in answered]
    )
    store.insert_rows(tx, UsageRow, _USAGE_COLUMNS, [_usage_row(one, now) for one in answered])
    written = [row for one in answered for row in _text_rows(one, texts[one.call.batch_id])]
    store.insert_rows(tx, StoredText, TEXT_COLUMNS, written)


def _completion_row(one: Finished, now: Any) -> tuple[Any, ...]:
    completion = one.completion
    assert completion is not None  # noqa: S101 - the caller has filtered
    flags = ",".join(completion.flags) or None
    # fmt: off
    return (
        one.call.id, one.call.epoch, completion.finish_reason.value, completion.model_returned,
        one.latency_ms, flags, now,
    )
    # fmt: on


def _usage_row(one: Finished, now: Any) -> tuple[Any, ...]:
    call, completion = one.call, one.completion
    assert completion is not None  # noqa: S101 - the caller has filtered
    usage = completion.usage
    # fmt: off
    return (
        call.id, call.account_id, call.batch_id, call.lane_id, call.provider, call.model,
        call.label, call.role.value, call.billed.value,
        usage.input_tokens, usage.cache_read_tokens, usage.cache_write_tokens,
        usage.output_tokens, usage.reasoning_tokens, usage.estimated,
        one.cost_nanos, one.price_version, one.latency_ms, completion.usage_raw, now,
    )
    # fmt: on


def _text_rows(one: Finished, texts: Texts) -> list[tuple[str, str, str, str]]:
    call, completion = one.call, one.completion
    assert completion is not None  # noqa: S101 - the caller has filtered
    rows = [texts.row(call.id, "answer", call.batch_id, completion.text)]
    extra = {"reasoning": completion.reasoning, "tool_calls": completion.tool_calls}
    if any(extra.values()):
        body = msgspec.json.encode(extra).decode()
        rows.append(texts.row(call.id, "extra", call.batch_id, body))
    return rows


def insert_outcomes(
    tx: Tx, store: Store, batch_id: str, outcomes: Mapping[str, Outcome], texts: Texts
) -> None:
    """Write what jobs of a batch came to, by the job's id: verdicts, syntheses and routes."""
    verdicts, rows = [], []
    for job_id, outcome in outcomes.items():
        if (verdict := outcome.verdict) is not None:
            body = texts.seal("verdict", job_id, _json(verdict))
            verdicts.append((job_id, batch_id, verdict.winner, verdict.abstained, body))
        if outcome.synthesis is not None:
            rows.append(texts.row(job_id, "synthesis", batch_id, _json(outcome.synthesis)))
        if outcome.route is not None:
            rows.append(texts.row(job_id, "route", batch_id, _json(outcome.route)))
    if verdicts:
        store.insert_rows(tx, StoredVerdict, _VERDICT_COLUMNS, verdicts)
    if rows:
        store.insert_rows(tx, StoredText, TEXT_COLUMNS, rows)


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()
