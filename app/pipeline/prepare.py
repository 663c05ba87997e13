"""What claimed calls ask, and what they may be sent with."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import NamedTuple

import msgspec

from app.db import Reader, Store
from app.domain.prompt import Messages, Params, Prompt
from app.models import Batch
from app.pipeline.backlog import Entry
from app.pipeline.calls import CallRequest
from app.pipeline.facts import Facts, facts_of, known_facts
from app.pipeline.lanes import params_for
from app.pipeline.outcomes import ClaimedCall
from app.vault.texts import Texts, texts_of

_TEXTS = """
SELECT t.owner_id, t.body FROM {rows(id text, kind text)}
{join} stored_text t ON t.owner_id = d.id AND t.kind = d.kind
"""
#: Joins to a call what it asks, as it is stored: its `own` request, and its job's `prompt`.
ASKED = """LEFT JOIN stored_text own ON own.owner_id = {call}.id AND own.kind = 'request'
LEFT JOIN stored_text prompt ON prompt.owner_id = {call}.job_id AND prompt.kind = 'prompt'"""
#: Where a lane leads, and the key that is sent there.
BASE_URL = "SELECT base_url FROM lane WHERE id = :lane"
KEY_ID = "SELECT id FROM provider_key WHERE lane_id = :lane"
_CREDENTIAL = f"SELECT ({BASE_URL}), ({KEY_ID})"
#: Texts are long: not all of a large claim's are read at once.
_AT_ONCE = 64


class Prepared(msgspec.Struct):
    """A claimed call with what it asks and what it may be sent with."""

    call: ClaimedCall
    messages: Messages
    params: Params
    base_url: str | None
    provider_key_id: str | None


class Asks(NamedTuple):
    """What a store has of what calls ask: where they are sent, and texts as they are stored.

    Attributes:
        base_url: where the lane leads, if not to the vendor.
        key_id: the provider key that is sent there.
        requests: by call, where it asks something of its own.
        prompts: by job.
    """

    base_url: str | None
    key_id: str | None
    requests: Mapping[str, str]
    prompts: Mapping[str, str]


def prepare(
    store: Store, entry: Entry, calls: Sequence[ClaimedCall], asks: Asks | None = None
) -> list[Prepared]:
    """What the calls ask: each its own request, or its job's prompt as its variant does.

    It is read where it was not read with the calls.
    """
    facts = known_facts(entry.batch_id)
    if facts is None or asks is None or facts.sealed:
        with store.read() as reader:
            facts = facts_of(reader, entry.batch_id)
            asks = asks or _read(reader, store, entry.lane_id, facts, calls)
            if facts.sealed:
                asks = _opened(asks, texts_of(reader, reader.get_one(Batch, entry.batch_id)))
    prepared = []
    for one in calls:
        one.at_most_once = facts.at_most_once
        one.single, one.terms = facts.single, facts.terms
        one.sealed = facts.sealed
        body = asks.requests.get(one.id)
        request = msgspec.json.decode(body, type=CallRequest) if body else None
        if request is None or request.messages is None:
            prompt = msgspec.json.decode(asks.prompts[one.job_id], type=Prompt)
            request = _request_of(facts, one, prompt, request)
        prepared.append(
            Prepared(one, request.messages or [], request.params, asks.base_url, asks.key_id)
        )
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


def _read(
    reader: Reader, store: Store, lane_id: str, facts: Facts, calls: Sequence[ClaimedCall]
) -> Asks:
    (base_url, key_id), *_ = reader.fast(store.sql(_CREDENTIAL), {"lane": lane_id})
    read = partial(_texts, reader, store)
    requests = {} if facts.plain else read([one.id for one in calls], "request")
    prompts = read(sorted({one.job_id for one in calls}), "prompt")
    return Asks(base_url, key_id, requests, prompts)


def _opened(asks: Asks, texts: Texts) -> Asks:
    requests = {id_: texts.open("request", id_, body) for id_, body in asks.requests.items()}
    prompts = {id_: texts.open("prompt", id_, body) for id_, body in asks.prompts.items()}
    return asks._replace(requests=requests, prompts=prompts)


def _texts(reader: Reader, store: Store, owners: Sequence[str], kind: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for start in range(0, len(owners), _AT_ONCE):
        wanted = [{"id": owner, "kind": kind} for owner in owners[start : start + _AT_ONCE]]
        rows = msgspec.json.encode(wanted).decode()
        texts = reader.select(store.sql(_TEXTS), 2, {"rows": rows})
        found.update((owner, body) for owner, body in texts)
    return found
