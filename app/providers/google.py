"""Google's generateContent, of the Gemini API.

Facts are from google-genai's own types and converters (3.4.0, `google.genai.models`,
`_GenerateContentConfig_to_mldev`) and the API reference (ai.google.dev/api/generate-content).
"""

import re
from collections.abc import Sequence
from typing import Any

from app.domain.completion import Completion
from app.domain.errors import InvalidRequestError, ProviderError, ProviderRefusedError
from app.domain.prompt import ChosenTool, ImagePart, Message, Params, TextPart, Tool, ToolChoice
from app.domain.wire import Request, Response
from app.providers.base import CallInput, CredentialLike
from app.providers.failures import failure_of
from app.providers.google_answer import completion_of, error_words
from app.providers.google_models import MODELS, thinking_for
from app.providers.taken import check_images, check_params, image_data
from app.providers.writing import check_extra, json_request, key_header, merged, schema_in, url_of

BASE_URL = "https://generativelanguage.googleapis.com/v1"
SEED_MAX = 2**31 - 1  # an int32 (ai.google.dev/api/generate-content, GenerationConfig)

_OURS_IN_EXTRA = frozenset(
    {
        *("contents", "max_completion_tokens", "max_tokens", "messages", "model", "n"),
        *("reasoning_effort", "response_format", "seed", "stop", "stream", "systemInstruction"),
        *("system_instruction", "temperature", "tool_choice", "toolConfig", "tool_config", "tools"),
        *("top_p", "generation_config"),
    }
)
_OURS_IN_CONFIG = frozenset(
    {
        *("candidateCount", "maxOutputTokens", "responseJsonSchema", "responseMimeType"),
        *("responseSchema", "seed", "stopSequences", "temperature", "topP"),
    }
)
_MODES = {"auto": "AUTO", "none": "NONE", "required": "ANY"}
#: The name is a part of the URL.
_MODEL = re.compile(r"(?:tunedModels/)?[A-Za-z0-9][A-Za-z0-9._-]*")


class GenerateContent:
    """An adapter for Google's generateContent."""

    def __init__(self, name: str, base_url: str = BASE_URL) -> None:
        self.name = name
        self._base_url = base_url

    def check(self, params: Params, model: str) -> None:
        """Refuse what the vendor does not take, as `Adapter.check` says."""
        if _path_of(model) is None:
            raise InvalidRequestError(f"{self.name} has no model of such a name")
        check_extra(self.name, params, _OURS_IN_EXTRA)
        check_extra(self.name, params, _OURS_IN_CONFIG, within="generationConfig")
        check_params(self.name, MODELS.of(_bare(model)), params, model)
        if params.seed is not None and not -SEED_MAX - 1 <= params.seed <= SEED_MAX:
            raise InvalidRequestError(f"{self.name} takes seeds of 32 bits", param="seed")

    def check_prompt(self, messages: Sequence[Message], model: str) -> None:
        """Refuse images that the vendor does not take, as `Adapter.check_prompt` says."""
        for number, message in enumerate(messages):
            if message.role == "system" and _has_image(message):
                raise InvalidRequestError(
                    f"{self.name} takes no images in a system message",
                    param=f"messages[{number}].content",
                )
            if message.tool_calls is not None:
                # Its newer models answer 400 to a call without the signature of the thought before
                # it, which OpenAI's shape does not have (ai.google.dev, Thought signatures).
                raise InvalidRequestError(
                    f"{self.name} takes no calls of tools but with signatures of its own",
                    param=f"messages[{number}].tool_calls",
                )
        check_images(self.name, MODELS.of(_bare(model)), messages, model)

    def build(self, call: CallInput, credential: CredentialLike) -> Request:
        """A request, as `Adapter.build` says."""
        path = _path_of(call.model)
        if path is None:
            raise ProviderRefusedError(
                f"{self.name} has no model of such a name", reason="not_found"
            )
        url = url_of(self.name, credential, self._base_url, f"/{path}:generateContent")
        auth = key_header(self.name, credential, "x-goog-api-key")
        return json_request(self.name, url, _body(call), call, auth)

    def probe(self, credential: CredentialLike) -> Request:
        """A request that tells a good key from a bad one, as `Adapter.probe` says."""
        url = url_of(self.name, credential, self._base_url, "/models?pageSize=1")
        return Request("GET", url, key_header(self.name, credential, "x-goog-api-key"))

    def failure(self, response: Response, credential: CredentialLike) -> ProviderError:
        """The error that a response stands for, as `Adapter.failure` says."""
        return failure_of(response, error_words(response.body), credential)

    def read(self, response: Response, call: CallInput, credential: CredentialLike) -> Completion:
        """The completion, as `Adapter.read` says."""
        if not 200 <= response.status_code < 300:  # noqa: PLR2004 - the class of successes
            raise self.failure(response, credential)
        return completion_of(response, call)


def _bare(model: str) -> str:
    return model.removeprefix("models/")


def _path_of(model: str) -> str | None:
    """The path of a model, or None if it would lead anywhere else."""
    name = _bare(model)
    if _MODEL.fullmatch(name) is None or ".." in name:
        return None
    return name if name.startswith("tunedModels/") else f"models/{name}"


def _has_image(message: Message) -> bool:
    content = message.content
    return not isinstance(content, str) and any(isinstance(part, ImagePart) for part in content)


def _body(call: CallInput) -> dict[str, Any]:
    model = _bare(call.model)
    params = MODELS.of(model).fitted(call.params)
    extra = params.extra or {}
    body: dict[str, Any] = {
        **extra,
        "contents": [_content(message) for message in call.messages if message.role != "system"],
    }
    if system := [one.text for one in call.messages if one.role == "system" and one.text]:
        body["systemInstruction"] = {"parts": [{"text": text} for text in system]}
    if config := _config(params, call.output_tokens_max, model):
        body["generationConfig"] = merged(extra, "generationConfig", **config)
    if params.tools:
        body["tools"] = [{"functionDeclarations": [_declared(tool) for tool in params.tools]}]
    if params.tool_choice is not None:
        body["toolConfig"] = {"functionCallingConfig": _calling(params.tool_choice)}
    return body


def _content(message: Message) -> dict[str, Any]:
    role = "model" if message.role == "assistant" else "user"
    if isinstance(message.content, str):
        return {"role": role, "parts": [{"text": message.content}]}
    return {"role": role, "parts": [_part(part) for part in message.content]}


def _part(part: TextPart | ImagePart) -> dict[str, Any]:
    if isinstance(part, TextPart):
        return {"text": part.text}
    data = image_data(part.image_url.url)
    if data is None:
        raise ProviderRefusedError("google does not fetch images", reason="bad_image")
    return {"inlineData": {"mimeType": data[0], "data": data[1]}}


def _config(params: Params, tokens_max: int | None, model: str) -> dict[str, Any]:
    named = {
        "temperature": params.temperature,
        "topP": params.top_p,
        "maxOutputTokens": tokens_max,
        "stopSequences": params.stop,
        "seed": params.seed,
    }
    config: dict[str, Any] = {name: value for name, value in named.items() if value is not None}
    if params.reasoning_effort is not None:
        config["thinkingConfig"] = thinking_for(params.reasoning_effort, model)
    asked = params.response_format
    if asked is not None and asked.get("type") != "text":
        config["responseMimeType"] = "application/json"
        if (schema := schema_in(asked)) is not None:
            config["responseJsonSchema"] = schema
    return config


def _declared(tool: Tool) -> dict[str, Any]:
    function = tool.function
    made: dict[str, Any] = {"name": function.name}
    if function.description is not None:
        made["description"] = function.description
    if function.parameters is not None:
        made["parametersJsonSchema"] = function.parameters
    return made


def _calling(choice: ToolChoice) -> dict[str, Any]:
    if isinstance(choice, ChosenTool):
        return {"mode": "ANY", "allowedFunctionNames": [choice.function.name]}
    return {"mode": _MODES[choice]}
