"""reuse: a call that asks just what an earlier one of the account asked takes its answer.

Only batches with `cache` write keys, and only they look for them, a group of calls at a time.
What is taken is a copy: it cost nothing, used nothing, and was never sent.

An answer belongs to its account, and is text: a batch that retains none neither gives nor takes
any, and where texts are sealed a copy is opened and sealed anew. Sealed batches have keys that
nobody without their account's can make, so they and plain ones do not find each other's answers.
"""

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence

import msgspec
from sqlmodel import Session

from app.db import Store, Tx
from app.domain.errors import UnavailableError
from app.domain.prompt import Messages, Params
from app.models import StoredText
from app.vault.texts import Texts

#: To be raised when the same question is to be another key.
_VERSION = 1
_GROUP = 2000
_TEXT_COLUMNS = ("owner_id", "kind", "batch_id", "body")
#: The first that was given, so that asking once more brings the same again. All in scalar
#: subqueries, and the least of an expression: a planner that may choose reads every key of the
#: account instead, or walks the calls by their ids.
_FIND = """
SELECT d.wanted, (
  SELECT MIN(call.id || '') FROM call
  WHERE call.account_id = :account AND call.cache_key = d.wanted AND call.state = 'succeeded'
    AND (SELECT c.epoch FROM completion c WHERE c.call_id = call.id) IS NOT NULL
    AND (SELECT t.kind FROM stored_text t WHERE t.owner_id = call.id AND t.kind = 'answer')
        IS NOT NULL)
FROM {rows(wanted text)}
"""
_COPY_COMPLETIONS = """
INSERT INTO completion
  (call_id, epoch, finish_reason, model_returned, latency_ms, flags, created_at)
SELECT d.id, 0, c.finish_reason, c.model_returned, 0, c.flags, {now}
FROM {rows(id text, source text)} {join} completion c ON c.call_id = d.source
RETURNING call_id
"""
_READ_TEXTS = """
SELECT d.id, t.kind, t.owner_id, t.body FROM {rows(id text, source text, kind text)}
{join} stored_text t ON t.owner_id = d.source AND t.kind = d.kind
"""
_COPY_TEXTS = """
INSERT INTO stored_text (owner_id, kind, batch_id, body)
SELECT d.id, t.kind, :batch, t.body
FROM {rows(id text, source text, kind text)}
{join} stored_text t ON t.owner_id = d.source AND t.kind = d.kind
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


def keys_of(asked: Sequence[Asked], texts: Texts) -> list[str]:
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
        keys.append(texts.fingerprint(content + number.to_bytes(4, "big")))
    return keys


def find_answers(
    session: Session, store: Store, account_id: str, keys: Sequence[str]
) -> dict[str, str]:
    """The account's earlier calls that have an answer, by key."""
    wanted = sorted(set(keys))
    found: dict[str, str] = {}
    for start in range(0, len(wanted), _GROUP):
        rows = _json([{"wanted": key} for key in wanted[start : start + _GROUP]])
        values = {"account": account_id, "rows": rows}
        for row in session.connection().execute(store.sql(_FIND), values):
            if row[1] is not None:
                found[row[0]] = row[1]
    return found


def copy_answers(
    tx: Tx, store: Store, batch_id: str, sources: Mapping[str, str], texts: Texts
) -> None:
    """Answer a batch's calls as others were, by their ids: completion, text, usage of nothing.

    Raises:
        UnavailableError: an answer was purged meanwhile; trying again finds it gone.
    """
    ids = sorted(sources)
    for start in range(0, len(ids), _GROUP):
        group = [{"id": id_, "source": sources[id_]} for id_ in ids[start : start + _GROUP]]
        kinds = [{**one, "kind": kind} for one in group for kind in ("answer", "extra")]
        rows = {"rows": _json(group)}
        completions = tx.run(store.sql(_COPY_COMPLETIONS), rows).all()
        copied = _copy_texts(tx, store, batch_id, _json(kinds), texts)
        if not len(completions) == len(group) == copied.count("answer"):
            raise UnavailableError
        tx.run(store.sql(_WRITE_USAGE), rows)


def _copy_texts(tx: Tx, store: Store, batch_id: str, kinds: str, texts: Texts) -> list[str]:
    """Copy the texts there are of these kinds; answers the kind of each."""
    if not texts.is_sealed:
        rows = tx.run(store.sql(_COPY_TEXTS), {"rows": kinds, "batch": batch_id}).all()
        return [row[0] for row in rows]
    found = tx.run(store.sql(_READ_TEXTS), {"rows": kinds}).all()
    copies = [
        texts.row(id_, kind, batch_id, texts.open(kind, source, body))
        for id_, kind, source, body in found
    ]
    store.insert_rows(tx, StoredText, _TEXT_COLUMNS, copies)
    return [row[1] for row in copies]


def _json(rows: object) -> str:
    return msgspec.json.encode(rows).decode()
