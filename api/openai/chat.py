"""One question and its answer, over the same pipeline as a batch."""

from typing import Annotated

import msgspec
from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import StreamingResponse
from starlette.concurrency import run_in_threadpool

from api.answers import answer
from api.body import Body, body_of, decode
from api.deps import Submitter, WithServices
from api.openai.errors import OpenAIError, failure_answer
from api.openai.shapes import told_body
from api.openai.streaming import stream
from api.openai.waiting import Asked
from app.domain.errors import InvalidRequestError
from app.pipeline.openai.ask import ask
from app.pipeline.openai.asked import CHAT, EMBEDDINGS, RESPONSES, Raws
from app.reports.openai_answers import Failure

router = APIRouter(prefix="/openai/v1", tags=["openai"])

BODY_BYTES_MAX = 16 * 1024 * 1024


class _Streaming(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`stream_options`; what is obfuscated is no concern of a stream that comes at once."""

    include_usage: bool = False
    include_obfuscation: bool | None = None


class _Asked(msgspec.Struct, frozen=True):
    stream: bool | None = None
    stream_options: _Streaming | None = None


@router.post("/chat/completions", **told_body("ChatCompletion", "ChatCompletionChunk"))
async def openai_chat_completions(
    request: Request,
    principal: Submitter,
    services: WithServices,
    body: Annotated[Body, Depends(body_of(BODY_BYTES_MAX))],
) -> Response:
    """Ask one model, or as many as `overnight` says, and wait for the answer."""
    wanted = decode(body.data, _Asked)
    if wanted.stream_options is not None and not wanted.stream:
        raise InvalidRequestError("stream_options: only with stream: true", param="stream_options")
    fields = _fields(body)
    asked = await _ask(request, principal.account_id, services, (CHAT, fields))
    if wanted.stream:
        options = wanted.stream_options or _Streaming()
        return StreamingResponse(
            stream(asked, with_usage=options.include_usage), media_type="text/event-stream"
        )
    return await _answered(request, asked)


@router.post("/responses", **told_body("Response"))
async def openai_responses(
    request: Request,
    principal: Submitter,
    services: WithServices,
    body: Annotated[Body, Depends(body_of(BODY_BYTES_MAX))],
) -> Response:
    """The same in the shape of Responses, not streamed."""
    if decode(body.data, _Asked).stream:
        raise InvalidRequestError("stream: is taken by /chat/completions only", param="stream")
    asked = await _ask(request, principal.account_id, services, (RESPONSES, _fields(body)))
    return await _answered(request, asked)


@router.post("/embeddings", **told_body("CreateEmbeddingResponse"))
async def openai_embeddings(
    request: Request,
    principal: Submitter,
    services: WithServices,
    body: Annotated[Body, Depends(body_of(BODY_BYTES_MAX))],
) -> Response:
    """Vectors of texts, of one model that makes some."""
    asked = await _ask(request, principal.account_id, services, (EMBEDDINGS, _fields(body)))
    return await _answered(request, asked)


def _fields(body: Body) -> Raws:
    fields = decode(body.data, dict[str, msgspec.Raw])
    return {name: raw for name, raw in fields.items() if name not in _Asked.__struct_fields__}


async def _ask(
    request: Request, account_id: str, services: WithServices, what: tuple[str, Raws]
) -> Asked:
    endpoint, fields = what
    batch_id = await run_in_threadpool(ask, services, account_id, endpoint, fields)
    return Asked(services, request.app.state.endings, account_id, batch_id, endpoint)


async def _answered(request: Request, asked: Asked) -> Response:
    found = await asked.answer_unless_gone(request)
    if isinstance(found, Failure):
        status, detail = failure_answer(found)
        # What was tried may have been paid for; whoever asks again decides that.
        headers = {"x-should-retry": "false"} if found.reason == "timeout" else None
        return answer(OpenAIError(detail), status, headers)
    return answer(found.body)
