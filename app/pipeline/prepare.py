"""What claimed calls ask, and what they may be sent with."""

from collections.abc import Sequence
from functools import partial

import msgspec

from app.db import Reader, Store
from app.domain.prompt import Messages, Params, Prompt
from app.models import Batch
from app.pipeline.backlog import Entry
from app.pipeline.calls import CallRequest
from app.pipeline.facts import Facts, facts_of
from app.pipeline.lanes import params_for
from app.pipeline.outcomes import ClaimedCall
from app.vault.texts import PLAIN, Texts, texts_of

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
        texts = texts_of(reader, reader.get_one(Batch, entry.batch_id)) if facts.sealed else PLAIN
        read = partial(_texts, reader, store, texts)
        requests = {} if facts.plain else read([one.id for one in calls], "request")
        prompts = read(sorted({one.job_id for one in calls}), "prompt")
    prepared = []
    for one in calls:
        one.at_most_once = facts.at_most_once
        one.single, one.terms = facts.single, facts.terms
        one.sealed = facts.sealed
        body = requests.get(one.id)
        request = msgspec.json.decode(body, type=CallRequest) if body else None
        if request is None or request.messages is None:
            prompt = msgspec.json.decode(prompts[one.job_id], type=Prompt)
            request = _request_of(facts, one, prompt, request)
        prepared.append(Prepared(one, request.messages or [], request.params, base_url, key_id))
    return prepared


def _request_of(
    facts: Facts, call: ClaimedCall, prompt: Prompt, request: CallRequest | None
) -> CallRequest:
    """What a call asks that asks its job's prompt."""
    params = params_for(facts.params, call.role, call.label, prompt)
    if request is not None:
        params = request.params
    assert params is not None  # noqa: S101 - what a plan does not name is stored with its call
    return CallRequest(prompt.messages, params)


def _texts(
    reader: Reader, store: Store, texts: Texts, owners: Sequence[str], kind: str
) -> dict[str, str]:
    found: dict[str, str] = {}
    for start in range(0, len(owners), _AT_ONCE):
        wanted = [{"id": owner, "kind": kind} for owner in owners[start : start + _AT_ONCE]]
        rows = msgspec.json.encode(wanted).decode()
        for owner, body in reader.select(store.sql(_TEXTS), 2, {"rows": rows}):
            found[owner] = texts.open(kind, owner, body)
    return found
