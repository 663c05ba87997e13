"""What claimed calls ask, and what they may be sent with."""

from collections.abc import Sequence

import msgspec

from app.db import Reader, Store
from app.domain.prompt import Messages, Params, Prompt
from app.pipeline.backlog import Entry
from app.pipeline.calls import CallRequest
from app.pipeline.facts import facts_of
from app.pipeline.outcomes import ClaimedCall

_TEXTS = """
SELECT t.owner_id, t.body FROM {rows(id text, kind text)}
{join} stored_text t ON t.owner_id = d.id AND t.kind = d.kind
"""
_CREDENTIAL = """
SELECT lane.base_url, provider_key.id FROM lane
LEFT JOIN provider_key ON provider_key.lane_id = lane.id WHERE lane.id = :lane
"""
#: Texts are long: not all of a large claim's are read at once.
_AT_ONCE = 64


class Prepared(msgspec.Struct):
    """A claimed call with what it asks and what it may be sent with."""

    call: ClaimedCall
    messages: Messages
    params: Params
    base_url: str | None
    provider_key_id: str | None


def prepare(store: Store, entry: Entry, calls: Sequence[ClaimedCall]) -> list[Prepared]:
    """Read what the calls ask: each its own request, or its job's prompt as its variant does."""
    with store.read() as reader:
        facts = facts_of(reader, entry.batch_id)
        (base_url, key_id), *_ = reader.fast(store.sql(_CREDENTIAL), {"lane": entry.lane_id})
        requests: dict[str, str] = {}
        if not facts.plain:
            requests = _texts(reader, store, [one.id for one in calls], "request")
        prompts = _texts(reader, store, sorted({one.job_id for one in calls}), "prompt")
    prepared = []
    for one in calls:
        one.at_most_once = facts.at_most_once
        one.single, one.terms = facts.single, facts.terms
        body = requests.get(one.id)
        request = msgspec.json.decode(body, type=CallRequest) if body else None
        messages = request.messages if request else None
        if messages is None:
            messages = msgspec.json.decode(prompts[one.job_id], type=Prompt).messages
        params = request.params if request else facts.params[one.role, one.label]
        prepared.append(Prepared(one, messages, params, base_url, key_id))
    return prepared


def _texts(reader: Reader, store: Store, owners: Sequence[str], kind: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for start in range(0, len(owners), _AT_ONCE):
        wanted = [{"id": owner, "kind": kind} for owner in owners[start : start + _AT_ONCE]]
        rows = msgspec.json.encode(wanted).decode()
        found.update(reader.select(store.sql(_TEXTS), 2, {"rows": rows}))  # type: ignore[arg-type]
    return found
