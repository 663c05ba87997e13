"""The simulated provider: part of the product, keyless, and honest about what it is.

It answers without calling any model. Each named model has a planted quality, and every answer
carries the quality that was drawn for it; the simulated judge reads that back, adds noise of
its own, and scores. So a leaderboard can be checked against the truth.

Everything is drawn from the call's seed: `params.seed`, or the call's id where there is none,
with the model and the messages. `params.extra = {"simulated": {…}}` sets what `Options` has.
It speaks OpenAI's Chat Completions, and `providers.openai` reads it like any other server.
"""

import asyncio
import hashlib
import json
import random
from collections.abc import Mapping
from typing import Annotated, Any, Literal

import msgspec

from app.domain.errors import InvalidRequestError, OutcomeUnknownError
from app.domain.money import ceil_div
from app.domain.wire import Request, Response
from app.providers.reading import BYTES_PER_TOKEN, estimate_tokens
from app.providers.simulated_embeddings import embed
from app.providers.simulated_judge import judge, mark

#: Never resolved: no request to it leaves the process.
BASE_URL = "https://simulated.invalid/v1"
QUALITY_MAX = 10.0
_FILLER = "This sentence only fills the answer to the length that was asked for. "

Quality = Annotated[float, msgspec.Meta(ge=0, le=QUALITY_MAX)]
Tokens = Annotated[int, msgspec.Meta(ge=0, le=1_000_000)]


class Model(msgspec.Struct, frozen=True):
    """A simulated model: how good its answers are, how long they take, and what they cost."""

    quality: float
    latency_ms: float
    input_micro_usd_per_mtok: int
    output_micro_usd_per_mtok: int


MODELS = {
    "gold": Model(8.5, 120, 5_000_000, 20_000_000),
    "silver": Model(7.0, 90, 2_000_000, 8_000_000),
    "bronze": Model(5.5, 60, 500_000, 2_000_000),
    "tin": Model(4.0, 30, 100_000, 400_000),
    "judge": Model(7.5, 80, 2_500_000, 10_000_000),
}
#: Listed prices, input and output, in micro-dollars per million tokens. They move no credits.
PRICES = {
    name: (model.input_micro_usd_per_mtok, model.output_micro_usd_per_mtok)
    for name, model in MODELS.items()
}
#: Any other name is a model too, with a quality that follows from the name.
OTHER_PRICE = (1_000_000, 4_000_000)
OTHER_LATENCY_MS = 60.0
_OTHER_QUALITY_MIN, _OTHER_QUALITY_SPAN = 3.0, 5.0


class Fault(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What goes wrong, in which share of the attempts: an HTTP status, or a kind of failure."""

    status: Annotated[int, msgspec.Meta(ge=300, le=599)] | None = None
    kind: Literal["timeout", "drop", "malformed"] | None = None
    rate: Annotated[float, msgspec.Meta(ge=0, le=1)] = 1.0
    retry_after_s: Annotated[float, msgspec.Meta(ge=0, le=86_400)] | None = None


class Options(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a call may set under `params.extra.simulated`; unset, it is the model's own.

    `latency_ms` is the median, and `latency_sigma` the spread of its logarithm; `noise` is the
    standard deviation of an answer's quality, or of a judge's scores.
    """

    latency_ms: Annotated[float, msgspec.Meta(ge=0, le=600_000)] | None = None
    latency_sigma: Annotated[float, msgspec.Meta(ge=0, le=3)] = 0.25
    input_tokens: Tokens | None = None
    output_tokens: Tokens | None = None
    quality: Quality | None = None
    noise: Quality | None = None
    fault: Fault | Literal["timeout", "drop", "malformed"] | None = None


class _Asked(msgspec.Struct, frozen=True):
    """The parts of a request's body that the simulator reads."""

    model: str
    messages: list[dict[str, Any]]
    max_tokens: int | None = None
    seed: int | None = None
    response_format: dict[str, Any] | None = None
    simulated: Options = Options()


_decoder = msgspec.json.Decoder(_Asked)
ANSWER_NOISE = 1.0
JUDGE_NOISE = 0.5
#: Enough for any test of size, and no way to fill a worker's memory.
ANSWER_BYTES_MAX = 4_000_000


def check_extra(extra: Mapping[str, Any]) -> None:
    """Refuse settings of the simulator that are none.

    Raises:
        InvalidRequestError: naming the field.
    """
    try:
        options = msgspec.convert(extra.get("simulated", {}), Options)
    except msgspec.ValidationError as error:
        what, _, path = str(error).partition(" - at `$")
        where = f"extra.simulated{path.rstrip('`')}"
        raise InvalidRequestError(what, param=where) from None
    fault = options.fault
    if isinstance(fault, Fault) and (fault.status is None) == (fault.kind is None):
        raise InvalidRequestError(
            "a fault has a status or a kind, and not both", param="extra.simulated.fault"
        )


class SimulatedSender:
    """A `domain.wire.Sender` that opens no socket: it waits, and answers."""

    async def send(self, request: Request, deadline_s: float) -> Response:
        """Answer after the model's latency, or fail as the call's settings say."""
        if request.url.endswith("/embeddings"):
            return embed(request.body)
        try:
            asked = _decoder.decode(request.body)
        except msgspec.DecodeError as error:
            return _problem(400, f"simulated cannot read this request: {error}")
        call_id, _, attempt = request.headers.get("x-client-request-id", "").rpartition("-")
        seed = _seed_of(asked, call_id)
        fault = _fault_of(asked.simulated, random.Random(f"{seed}/{attempt}"))  # noqa: S311 - a simulation
        draw = random.Random(seed)  # noqa: S311 - a simulation
        latency_s = _latency_s(asked, draw)
        if fault.kind == "timeout" or latency_s >= deadline_s:
            await asyncio.sleep(deadline_s)
            raise OutcomeUnknownError("simulated did not answer in time", reason="timeout")
        await asyncio.sleep(latency_s)
        if fault.kind == "drop":
            raise OutcomeUnknownError("simulated ended the connection", reason="dropped")
        if fault.kind == "malformed":
            return Response(200, {"content-type": "text/html"}, b"<html>Simulated fault</html>")
        if fault.status is not None:
            return _problem(fault.status, "Simulated fault.", fault.retry_after_s)
        return _answer(asked, draw, seed)

    async def close(self) -> None:
        """Nothing is open."""


def _seed_of(asked: _Asked, call_id: str) -> int:
    own = call_id if asked.seed is None else asked.seed
    digest = hashlib.blake2b(msgspec.json.encode([own, asked.model, asked.messages]), digest_size=8)
    return int.from_bytes(digest.digest(), "big")


def _model_of(name: str) -> Model:
    if name in MODELS:
        return MODELS[name]
    share = hashlib.blake2b(name.encode(), digest_size=1).digest()[0] / 255
    quality = _OTHER_QUALITY_MIN + _OTHER_QUALITY_SPAN * share
    return Model(quality, OTHER_LATENCY_MS, *OTHER_PRICE)


def _fault_of(options: Options, draw: random.Random) -> Fault:
    """The fault of this attempt; one without status and kind if all goes well."""
    fault = options.fault
    if fault is None:
        return Fault()
    if not isinstance(fault, Fault):
        return Fault(kind=fault)
    return fault if draw.random() < fault.rate else Fault()


def _latency_s(asked: _Asked, draw: random.Random) -> float:
    options = asked.simulated
    median_ms = options.latency_ms
    if median_ms is None:
        median_ms = _model_of(asked.model).latency_ms
    return median_ms / 1000 * draw.lognormvariate(0.0, options.latency_sigma)


def _answer(asked: _Asked, draw: random.Random, seed: int) -> Response:
    noise = JUDGE_NOISE if asked.simulated.noise is None else asked.simulated.noise
    text = judge(asked.messages, asked.response_format, draw, noise)
    if text is None:
        text = _sized(_text(asked, draw), asked.simulated.output_tokens)
    text, output_tokens, finish_reason = _bounded(asked, text)
    input_tokens = asked.simulated.input_tokens
    if input_tokens is None:
        input_tokens = ceil_div(len(msgspec.json.encode(asked.messages)), BYTES_PER_TOKEN)
    message = {"role": "assistant", "content": text, "refusal": None}
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": finish_reason}
    body = {
        "id": f"simulated-{seed:016x}",
        "object": "chat.completion",
        "created": 0,
        "model": asked.model,
        "choices": [choice],
        "usage": {
            "prompt_tokens": input_tokens,
            "completion_tokens": output_tokens,
            "total_tokens": input_tokens + output_tokens,
        },
    }
    return Response(200, {"content-type": "application/json"}, msgspec.json.encode(body))


def _bounded(asked: _Asked, text: str) -> tuple[str, int, str]:
    """The text within the bound on its tokens, their number, and why it ended."""
    tokens = asked.simulated.output_tokens
    if tokens is None:
        tokens = estimate_tokens(text)
    if asked.max_tokens is None or tokens <= asked.max_tokens:
        return text, tokens, "stop"
    cut = text.encode()[: asked.max_tokens * BYTES_PER_TOKEN].decode(errors="ignore")
    return cut, asked.max_tokens, "length"


def _text(asked: _Asked, draw: random.Random) -> str:
    """An answer that says what it is, with the quality that was drawn for it."""
    options = asked.simulated
    planted = _model_of(asked.model).quality if options.quality is None else options.quality
    noise = ANSWER_NOISE if options.noise is None else options.noise
    quality = min(max(draw.gauss(planted, noise), 0.0), QUALITY_MAX)
    asked_last = asked.messages[-1].get("content") if asked.messages else ""
    excerpt = asked_last if isinstance(asked_last, str) else ""
    text = (
        f"{mark(quality)} This answer is simulated; no model was called. "
        f"The question began: {excerpt[:120]!r}"
    )
    if asked.response_format and asked.response_format.get("type") in (
        "json_object",
        "json_schema",
    ):
        return json.dumps({"answer": text}, ensure_ascii=False)
    return text


def _sized(text: str, tokens: int | None) -> str:
    """The text, filled up to as many tokens as the call wants, but never cut."""
    if tokens is None:
        return text
    missing = min(tokens * BYTES_PER_TOKEN, ANSWER_BYTES_MAX) - len(text.encode())
    if missing <= 0:
        return text
    return text + (" " + _FILLER * (missing // len(_FILLER) + 1))[:missing]


def _problem(status: int, message: str, retry_after_s: float | None = None) -> Response:
    headers = {"content-type": "application/json"}
    if retry_after_s is not None:
        headers["retry-after"] = f"{retry_after_s:g}"
    error = {"message": message, "type": "simulated", "param": None, "code": None}
    return Response(status, headers, msgspec.json.encode({"error": error}))
