"""OpenAI has two doors, Chat Completions and Responses: each call goes through the one it needs."""

from collections.abc import Sequence

from app.domain.completion import Completion
from app.domain.errors import ProviderError
from app.domain.prompt import Message, Params
from app.domain.wire import Request, Response
from app.providers.base import Adapter, CallInput, CredentialLike
from app.providers.openai_models import needs_responses


class OpenAI:
    """An adapter that asks one of two, by the model and what it is asked with."""

    def __init__(self, chat: Adapter, responses: Adapter) -> None:
        self.name = chat.name
        self._chat = chat
        self._responses = responses

    def check(self, params: Params, model: str) -> None:
        """Refuse what the vendor does not take, as `Adapter.check` says."""
        self._door(params, model).check(params, model)

    def check_prompt(self, messages: Sequence[Message], model: str) -> None:
        """Refuse images that the vendor does not take, as `Adapter.check_prompt` says."""
        self._door(Params(), model).check_prompt(messages, model)

    def build(self, call: CallInput, credential: CredentialLike) -> Request:
        """A request, as `Adapter.build` says."""
        return self._door(call.params, call.model).build(call, credential)

    def probe(self, credential: CredentialLike) -> Request:
        """A request that tells a good key from a bad one, as `Adapter.probe` says."""
        return self._chat.probe(credential)

    def failure(self, response: Response, credential: CredentialLike) -> ProviderError:
        """The error that a response stands for, as `Adapter.failure` says."""
        return self._chat.failure(response, credential)

    def read(self, response: Response, call: CallInput, credential: CredentialLike) -> Completion:
        """The completion, as `Adapter.read` says."""
        return self._door(call.params, call.model).read(response, call, credential)

    def _door(self, params: Params, model: str) -> Adapter:
        wants_responses = params.embed is None and needs_responses(params, model)
        return self._responses if wants_responses else self._chat
