"""reuse: a call that asks just what an earlier one of the account asked takes its answer.

Only batches with `cache` write keys, and only they look for them, a group of calls at a time.
What is taken is a copy: it cost nothing, used nothing, and was never sent.

An answer belongs to its account, and is text: a batch that retains none may neither give nor
take any, and where texts are sealed a copy must be opened and sealed anew.
"""

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence

import msgspec

from app.db import Store, Tx
from app.domain.errors import UnavailableError
from app.domain.prompt import Messages, Params

#: To be raised when the same question is to be another key.
_VERSION = 1
_GROUP = 2000
#: The first that was given, so that asking once more brings the same again.
_FIND = """
SELECT d.wanted, MIN(call.id) FROM {rows(wanted text)}
{join} call ON call.account_id = :account AND call.cache_key = d.wanted
WHERE call.state = 'succeeded'
  AND EXISTS (SELECT 1 FROM completion WHERE completion.call_id = call.id)
  AND EXISTS (SELECT 1 FROM stored_text t WHERE t.owner_id = call.id AND t.kind = 'answer')
GROUP BY d.wanted
"""
_COPY_COMPLETIONS = """
INSERT INTO completion
  (call_id, epoch, finish_reason, model_returned, latency_ms, flags, created_at)
SELECT d.id, 0, c.finish_reason, c.model_returned, 0, c.flags, {now}
FROM {rows(id text, source text)} {join} completion c ON c.call_id = d.source
RETURNING call_id
"""
_COPY_TEXTS = """
INSERT INTO stored_text (owner_id, kind, batch_id, body)
SELECT d.id, t.kind, call.batch_id, t.body
FROM {rows(id text, source text)} {join} call ON call.id = d.id
{join} stored_text t ON t.owner_id = d.source AND t.kind IN ('answer', 'extra')
RETURNING kind
"""
#: Nothing was used: no tokens, no time, no money.
_WRITE_USAGE = """
INSERT INTO usage (call_id, account_id, batch_id, lane_id, provider, model, label, role, billed,
  input_tokens, cache_read_tokens, cache_write_tokens, output_tokens, reasoning_tokens,
  estimated, cost_nanos, latency_ms, created_at)
SELECT call.id, call.account_id, call.batch_id, call.lane_id, lane.provider, call.model,
  call.label, call.role, 'cached', 0, 0, 0, 0, 0, false, 0, 0, {now}
FROM {rows(id text)} {join} call ON call.id = d.id {join} lane ON lane.id = call.lane_id
"""


class Asked(msgspec.Struct, frozen=True, array_like=True):
    """All that decides what a provider is asked, and where."""

    provider: str
    base_url: str | None
    model: str
    params: Params  # as they are sent, the bound on output included
    messages: Messages


def keys_of(asked: Sequence[Asked]) -> list[str]:
    """The key of each call of one job's round.

    Calls that ask the same are counted, and their number is in the key: the repeats of a
    variant are answers of their own, and the second finds what the second was answered.
    Objects keep the order they were written in, for a model reads a schema in its order.
    """
    seen: Counter[bytes] = Counter()
    keys = []
    for one in asked:
        content = hashlib.sha256(msgspec.json.encode((_VERSION, one))).digest()
        number = seen[content]
        seen[content] += 1
        keys.append(hashlib.sha256(content + number.to_bytes(4, "big")).hexdigest())
    return keys


def find_answers(tx: Tx, store: Store, account_id: str, keys: Sequence[str]) -> dict[str, str]:
    """The account's earlier calls that have an answer, by key."""
    wanted = sorted(set(keys))
    found: dict[str, str] = {}
    for start in range(0, len(wanted), _GROUP):
        rows = _json([{"wanted": key} for key in wanted[start : start + _GROUP]])
        for row in tx.run(store.sql(_FIND), {"account": account_id, "rows": rows}):
            found[row[0]] = row[1]
    return found


def copy_answers(tx: Tx, store: Store, sources: Mapping[str, str]) -> None:
    """Answer calls as others were, by their ids: completion, text, and usage of nothing.

    Raises:
        UnavailableError: an answer was purged meanwhile; trying again finds it gone.
    """
    ids = sorted(sources)
    for start in range(0, len(ids), _GROUP):
        group = ids[start : start + _GROUP]
        rows = {"rows": _json([{"id": id_, "source": sources[id_]} for id_ in group])}
        completions = tx.run(store.sql(_COPY_COMPLETIONS), rows).all()
        texts = tx.run(store.sql(_COPY_TEXTS), rows).all()
        if not len(completions) == len(group) == sum(row[0] == "answer" for row in texts):
            raise UnavailableError
        tx.run(store.sql(_WRITE_USAGE), rows)


def _json(rows: object) -> str:
    return msgspec.json.encode(rows).decode()
