"""What a group of finished attempts does to its calls, in as few statements as a store takes.

The fence comes first: it lets through only calls that their worker still holds, at the epoch it
claimed. Whoever sees that it let fewer through than there are rolls back.
"""

from app.db import Store, Tx
from app.models import StoredCompletion, UsageRow
from app.pipeline.record_rows import COMPLETION_COLUMNS, USAGE_COLUMNS, Rows

#: Whether this worker still has a call. An opaque CASE: with fresh statistics the planner believes
#: that no row is 'sending', or any worker's, and would look through all of those for each.
HOLDS = """call.epoch = d.epoch
    AND CASE WHEN call.state = 'sending' AND call.worker_id = d.worker_id THEN 1 ELSE 0 END = 1"""
_CHANGE = """
UPDATE call SET state = c.state, worker_id = NULL,
  attempts = attempts + c.failed, unknowns = unknowns + c.unknown,
  crash_count = crash_count + c.crashed, wait_reason = c.wait_reason,
  waiting_since = CASE WHEN c.waiting = 1 THEN COALESCE(waiting_since, {now})
                       WHEN c.closes = 1 THEN NULL ELSE waiting_since END,
  due_at = CASE WHEN c.closes = 1 THEN due_at ELSE {after_ms(c.delay_ms)} END,
  reason = c.reason, message = c.message,
  closed_at = CASE WHEN c.closes = 1 THEN {now} END
FROM c WHERE call.id = c.call_id
"""
_FENCE = f"""
WITH c AS MATERIALIZED (
  SELECT call.id AS call_id, d.* FROM
    {{given(id, epoch, worker_id, state, closes, delay_ms, failed, unknown, crashed, wait_reason,
           waiting, reason, message)}}
  {{join}} call ON call.id = d.id
  WHERE {HOLDS}
)
{_CHANGE}
"""  # noqa: S608 - our own words
_END = """finished_at = {now}, status_code = d.status_code, reason = d.reason,
  request_id = d.request_id, latency_ms = d.latency_ms, cost_nanos = d.cost"""
_OF_CALL = "attempt.call_id = d.id AND attempt.epoch = d.epoch"
_CLOSE_ATTEMPTS = f"""
UPDATE attempt SET state = d.state, message = d.message, {_END}
FROM {{given(id, epoch, state, status_code, reason, message, request_id, latency_ms, cost)}}
WHERE {_OF_CALL}
"""  # noqa: S608 - our own words
_COMPLETIONS = ", ".join(COMPLETION_COLUMNS)
_USAGE = ", ".join(USAGE_COLUMNS)
#: All of it but texts in one statement, from one value: there every statement has a price of its
#: own. The fence hands on what it let through: joined to it again, every row would be held
#: against every other. The columns of `completion` and `usage` are NULL for what has no answer.
_AT_ONCE = f"""
WITH d AS MATERIALIZED (
  SELECT * FROM jsonb_to_recordset(CAST(:rows AS jsonb)) AS d(
    id text, epoch int, worker_id text, state text, closes int, delay_ms bigint, failed int,
    unknown int, crashed int, wait_reason text, waiting int, reason text, message text,
    attempt_state text, attempt_message text, status_code int, request_id text, latency_ms int,
    cost bigint, finish_reason text, model_returned text, flags text, provider text, billed text,
    input_tokens bigint, cache_read_tokens bigint, cache_write_tokens bigint,
    output_tokens bigint, reasoning_tokens bigint, estimated boolean, cost_nanos bigint,
    price_version text, raw text)
),
c AS MATERIALIZED (
  SELECT call.id AS call_id, d.* FROM d JOIN call ON call.id = d.id
  WHERE {HOLDS}
  ORDER BY call.id FOR NO KEY UPDATE OF call
),
fence AS (
  {_CHANGE}
  RETURNING c.*, call.account_id, call.batch_id, call.lane_id, call.model, call.label, call.role
),
closed AS (
  UPDATE attempt SET state = d.attempt_state, message = d.attempt_message, {_END}
  FROM fence d WHERE {_OF_CALL}
),
answered AS (
  INSERT INTO completion ({_COMPLETIONS})
  SELECT id, epoch, finish_reason, model_returned, latency_ms, flags, {{now}}
  FROM fence WHERE finish_reason IS NOT NULL
),
used AS (
  INSERT INTO usage ({_USAGE})
  SELECT id, account_id, batch_id, lane_id, provider, model, label, role, billed, input_tokens,
    cache_read_tokens, cache_write_tokens, output_tokens, reasoning_tokens, estimated, cost_nanos,
    price_version, latency_ms, raw, {{now}}
  FROM fence WHERE finish_reason IS NOT NULL
)
SELECT COUNT(*) FROM fence
"""  # noqa: S608 - our own words


def write_calls(tx: Tx, store: Store, rows: Rows) -> int:
    """Write calls, attempts, completions and usage; answers how many passed the fence."""
    return _one_by_one(tx, store, rows) if store.is_sqlite else _at_once(tx, store, rows)


def _at_once(tx: Tx, store: Store, rows: Rows) -> int:
    return int(tx.fast(store.sql(_AT_ONCE), {"rows": rows.whole()})[0][0])


def _one_by_one(tx: Tx, store: Store, rows: Rows) -> int:
    passed = tx.change_rows(store.sql(_FENCE), rows.calls())
    if passed != len(rows.group):
        return passed
    if rows.answered:
        now = store.now(tx)
        store.insert_rows(tx, StoredCompletion, COMPLETION_COLUMNS, rows.completions(now))
        store.insert_rows(tx, UsageRow, USAGE_COLUMNS, rows.usages(now))
    tx.change_rows(store.sql(_CLOSE_ATTEMPTS), rows.attempts())
    return passed
