"""The languages that adapters speak, as the vendors' own clients know them.

An answer is made of the types of a vendor's client, so its shape is the vendor's own. What an
answer says is told in our words, the same for every language.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import anthropic.types as messages
from google.genai import types as gemini
from openai.types import chat, responses
from openai.types.completion_usage import (
    CompletionTokensDetails,
    CompletionUsage,
    PromptTokensDetails,
)

MODEL_SAID = "test-model-2026-01"
ANSWER_ID = "answer_1"
ARGUMENTS = {"city": "Oslo"}


@dataclass(frozen=True)
class Said:
    """What an answer says. Tokens that were read or written are inside the input, here."""

    text: str = "Two. 😀"
    ends: str = "stop"
    thoughts: str = ""
    tool: str = ""
    refusal: str = ""
    input: int = 100
    cached: int = 40
    written: int = 0
    output: int = 50
    reasoning: int = 30


class Chat:
    """OpenAI's Chat Completions."""

    path = "/chat/completions"
    model = "test-model"
    header = "authorization"
    probe: ClassVar[tuple[str, ...]] = ("/models", "/key", "/async/chat/completions")
    ends: ClassVar[Mapping[str, str]] = {
        "stop": "stop", "length": "length", "tool": "tool_calls", "withheld": "content_filter",
        "refused": "stop",
    }  # fmt: skip
    usage = ("prompt_tokens", "completion_tokens")
    nothing: ClassVar[list[Any]] = [{}, {"choices": []}, {"choices": ["x"]}, {"choices": [{}]}]
    no_answer = "no_choices"
    writes_cache = True

    def answer(self, said: Said) -> dict[str, Any]:
        function = {"name": said.tool, "arguments": json.dumps(ARGUMENTS)}
        call = {"id": "t1", "type": "function", "function": function}
        made = chat.ChatCompletion(
            id=ANSWER_ID,
            choices=[
                chat.chat_completion.Choice(
                    index=0,
                    finish_reason=self.ends[said.ends],
                    message=chat.ChatCompletionMessage(
                        role="assistant",
                        content=said.text or None,
                        refusal=said.refusal or None,
                        tool_calls=[call] if said.tool else None,
                        reasoning_content=said.thoughts or None,
                    ),
                )
            ],
            created=0,
            model=MODEL_SAID,
            object="chat.completion",
            usage=CompletionUsage(
                prompt_tokens=said.input,
                completion_tokens=said.output,
                total_tokens=said.input + said.output,
                prompt_tokens_details=PromptTokensDetails(
                    cached_tokens=said.cached, cache_write_tokens=said.written
                ),
                completion_tokens_details=CompletionTokensDetails(reasoning_tokens=said.reasoning),
            ),
        )
        return made.model_dump(mode="json")

    def usage_in(self, body: dict[str, Any]) -> Any:
        return body["usage"]

    def error(self, message: object) -> dict[str, Any]:
        return {"error": {"message": message, "type": "t", "code": None}}


class Responses(Chat):
    """OpenAI's Responses."""

    path = "/responses"
    model = "gpt-5-pro"
    probe = ("/models",)
    usage = ("input_tokens", "output_tokens")
    nothing: ClassVar[list[Any]] = [{}, {"output": None}, {"output": "x"}]
    no_answer = "no_output"

    def answer(self, said: Said) -> dict[str, Any]:
        why = {"length": "max_output_tokens", "withheld": "content_filter"}.get(said.ends)
        made = responses.Response(
            id=ANSWER_ID,
            created_at=0,
            model=MODEL_SAID,
            object="response",
            status="incomplete" if why else "completed",
            incomplete_details={"reason": why} if why else None,
            output=self._output(said),
            parallel_tool_calls=True,
            tool_choice="auto",
            tools=[],
            usage=responses.ResponseUsage(
                input_tokens=said.input,
                output_tokens=said.output,
                total_tokens=said.input + said.output,
                input_tokens_details={
                    "cached_tokens": said.cached,
                    "cache_write_tokens": said.written,
                },
                output_tokens_details={"reasoning_tokens": said.reasoning},
            ),
        )
        return made.model_dump(mode="json", warnings=False)

    def _output(self, said: Said) -> list[Any]:
        items: list[Any] = []
        if said.thoughts:
            summary = [{"type": "summary_text", "text": said.thoughts}]
            items.append(responses.ResponseReasoningItem(id="r", summary=summary, type="reasoning"))
        if said.text or said.refusal:
            content: Any = {"type": "output_text", "text": said.text, "annotations": []}
            if said.refusal:
                content = {"type": "refusal", "refusal": said.refusal}
            items.append(
                responses.ResponseOutputMessage(
                    id="m", content=[content], role="assistant", status="completed", type="message"
                )
            )
        if said.tool:
            items.append(
                responses.ResponseFunctionToolCall(
                    call_id="t1",
                    name=said.tool,
                    arguments=json.dumps(ARGUMENTS),
                    type="function_call",
                )
            )
        return items


class Messages:
    """Anthropic's Messages."""

    path = "/messages"
    model = "claude-test"
    header = "x-api-key"
    probe: ClassVar[tuple[str, ...]] = ("/models?limit=1",)
    ends: ClassVar[Mapping[str, str]] = {
        "stop": "end_turn", "length": "max_tokens", "tool": "tool_use", "refused": "refusal",
    }  # fmt: skip
    usage = ("input_tokens", "output_tokens")
    nothing: ClassVar[list[Any]] = [{}, {"content": None}, {"content": "x"}]
    no_answer = "no_content"
    writes_cache = True

    def answer(self, said: Said) -> dict[str, Any]:
        content: list[Any] = []
        if said.thoughts:
            content.append(
                messages.ThinkingBlock(type="thinking", thinking=said.thoughts, signature="s")
            )
        if said.text:
            content.append(messages.TextBlock(type="text", text=said.text))
        if said.tool:
            content.append(
                messages.ToolUseBlock(type="tool_use", id="t1", name=said.tool, input=ARGUMENTS)
            )
        details = None
        if said.refusal:
            details = messages.RefusalStopDetails(type="refusal", explanation=said.refusal)
        made = messages.Message(
            id=ANSWER_ID,
            content=content,
            model=MODEL_SAID,
            role="assistant",
            type="message",
            stop_reason=self.ends[said.ends],
            stop_details=details,
            usage=messages.Usage(
                input_tokens=said.input - said.cached - said.written,
                cache_read_input_tokens=said.cached,
                cache_creation_input_tokens=said.written,
                output_tokens=said.output,
                output_tokens_details={"thinking_tokens": said.reasoning},
            ),
        )
        return made.model_dump(mode="json")

    def usage_in(self, body: dict[str, Any]) -> Any:
        return body["usage"]

    def error(self, message: object) -> dict[str, Any]:
        return {"type": "error", "error": {"type": "t", "message": message}}


class Gemini:
    """Google's generateContent."""

    path = "/models/gemini-test:generateContent"
    model = "gemini-test"
    header = "x-goog-api-key"
    probe: ClassVar[tuple[str, ...]] = ("/models?pageSize=1",)
    ends: ClassVar[Mapping[str, str]] = {
        "stop": "STOP", "length": "MAX_TOKENS", "tool": "STOP", "withheld": "SAFETY",
    }  # fmt: skip
    usage = ("promptTokenCount", "candidatesTokenCount")
    nothing: ClassVar[list[Any]] = [{}, {"candidates": []}, {"candidates": ["x"]}]
    no_answer = "no_candidates"
    writes_cache = False

    def answer(self, said: Said) -> dict[str, Any]:
        parts: list[Any] = []
        if said.thoughts:
            parts.append(gemini.Part(text=said.thoughts, thought=True))
        if said.text:
            parts.append(gemini.Part(text=said.text))
        if said.tool:
            call = gemini.FunctionCall(id="t1", name=said.tool, args=ARGUMENTS)
            parts.append(gemini.Part(function_call=call))
        made = gemini.GenerateContentResponse(
            candidates=[
                gemini.Candidate(
                    content=gemini.Content(role="model", parts=parts),
                    finish_reason=self.ends[said.ends],
                )
            ],
            usage_metadata=gemini.GenerateContentResponseUsageMetadata(
                prompt_token_count=said.input,
                cached_content_token_count=said.cached,
                candidates_token_count=said.output - said.reasoning,
                thoughts_token_count=said.reasoning,
                total_token_count=said.input + said.output,
            ),
            model_version=MODEL_SAID,
            response_id=ANSWER_ID,
        )
        return made.model_dump(mode="json", by_alias=True, exclude_none=True)

    def usage_in(self, body: dict[str, Any]) -> Any:
        return body["usageMetadata"]

    def error(self, message: object) -> dict[str, Any]:
        return {"error": {"code": 400, "message": message, "status": "S", "details": []}}


Language = Chat | Messages | Gemini
