"""What becomes of an attempt and its call, as the one statement takes it that writes all of it."""

import msgspec

from app.db import in_ms
from app.pipeline.outcomes import Finished
from app.vault.texts import Texts


class WholeRow(msgspec.Struct, omit_defaults=True, kw_only=True):
    """All of it but texts, in the names of the statement's columns; what is None is left out.

    A call's row knows its account, batch, lane, model, label and role by itself.
    """

    id: str
    epoch: int
    worker_id: str
    state: str
    closes: int
    delay_ms: int
    failed: int
    unknown: int
    crashed: int
    waiting: int
    attempt_state: str
    latency_ms: int
    wait_reason: str | None = None
    reason: str | None = None
    message: str | None = None
    attempt_message: str | None = None
    status_code: int | None = None
    request_id: str | None = None
    cost: int | None = None
    finish_reason: str | None = None
    model_returned: str | None = None
    flags: str | None = None
    provider: str | None = None
    billed: str | None = None
    input_tokens: int | None = None
    cache_read_tokens: int | None = None
    cache_write_tokens: int | None = None
    output_tokens: int | None = None
    reasoning_tokens: int | None = None
    estimated: bool | None = None
    cost_nanos: int | None = None
    price_version: str | None = None
    raw: str | None = None


def whole_row(one: Finished, texts: Texts) -> WholeRow:
    """What an attempt's end does to its call, with its messages as the batch keeps texts."""
    id_, closes, completion = one.call.id, one.closes, one.completion
    row = WholeRow(
        id=id_,
        epoch=one.call.epoch,
        worker_id=one.call.worker_id,
        state=one.state,
        closes=int(closes),
        delay_ms=in_ms(one.delay_s),
        failed=one.failed,
        unknown=one.unknown,
        crashed=one.crashed,
        waiting=int(one.waiting and not closes),
        wait_reason=None if closes else one.wait_reason,
        reason=one.reason,
        attempt_state=one.attempt_state,
        status_code=one.status_code,
        request_id=one.request_id,
        latency_ms=one.latency_ms,
        cost=one.paid_nanos,
    )
    if one.message is not None:
        row.message = texts.seal_message("call.message", id_, one.message)
        row.attempt_message = texts.seal_message("attempt.message", id_, one.message)
    if completion is not None:
        usage = completion.usage
        row.finish_reason, row.model_returned = completion.finish_reason, completion.model_returned
        row.flags = ",".join(completion.flags) or None
        row.provider, row.billed = one.call.provider, one.call.billed
        row.input_tokens, row.output_tokens = usage.input_tokens, usage.output_tokens
        row.cache_read_tokens = usage.cache_read_tokens
        row.cache_write_tokens = usage.cache_write_tokens
        row.reasoning_tokens, row.estimated = usage.reasoning_tokens, usage.estimated
        row.cost_nanos, row.price_version = one.cost_nanos, one.price_version
        row.raw = completion.usage_raw
    return row
