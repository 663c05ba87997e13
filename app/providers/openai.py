"""OpenAI's Chat Completions, the language that most vendors and local servers speak too.

Facts are from openai-python's own types (3.54.0, `openai.types.chat`) and OpenAI's API
reference. An OpenAI-compatible vendor is a configuration of this adapter, not new code.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from app.domain.completion import Completion
from app.domain.errors import MalformedCompletionError, ProviderError
from app.domain.prompt import Message, Params
from app.domain.wire import Request, Response
from app.providers.base import CallInput, CredentialLike
from app.providers.failures import failure_of
from app.providers.openai_answer import completion_of, error_words, failure_inside
from app.providers.openai_embeddings import PATH as EMBEDDINGS
from app.providers.openai_embeddings import embeddings_body, embeddings_of
from app.providers.taken import Images, Table, Taken, check_images, check_params
from app.providers.writing import check_extra, json_request, key_header, url_of

#: What a parameter of ours already says, and what the engine decides. `n`, the bounds on tokens
#: and the tools that a vendor runs itself would also get past a budget.
_OURS_IN_EXTRA = frozenset(
    {
        *("max_completion_tokens", "max_output_tokens", "max_tokens", "messages", "model", "n"),
        *("reasoning_effort", "response_format", "seed", "stop", "stream", "stream_options"),
        *("temperature", "tool_choice", "tools", "top_p"),
    }
)
#: Parameters that go by the same name and in the same shape.
_SAME = ("temperature", "top_p", "stop", "response_format", "tools", "tool_choice")

CheckExtra = Callable[[Mapping[str, Any]], None]
#: The fields that ask a model for an effort.
Effort = Callable[[str], dict[str, Any]]


def _openai_effort(effort: str) -> dict[str, Any]:
    return {"reasoning_effort": effort}


#: A server of one's own may take anything, and fetch from anywhere.
_UNKNOWN = Table(Taken(formats=None, images=Images.ANYWHERE))


@dataclass(frozen=True, slots=True)
class Dialect:
    """How a server's Chat Completions differ from what most take and answer.

    Attributes:
        table: what its models take.
        tokens_field: the name of the bound on tokens.
        seed_field: the name of the seed.
        effort: how an effort is asked for.
        always: fields of every request, unless `extra` has them.
        words: its own words for errors, in `failures`' words.
        statuses: its codes of errors that come with a status of success, as the status they are.
        probe: the path that a key is tried on, or a whole URL where the vendor's own is meant.
        embeds: whether it has embeddings, at `/embeddings`.
        check_extra: what else to look at in `extra`.
    """

    table: Table = _UNKNOWN
    tokens_field: str = "max_tokens"
    seed_field: str = "seed"
    effort: Effort = _openai_effort
    always: Mapping[str, Any] = field(default_factory=dict)
    words: Mapping[str, str] = field(default_factory=dict)
    statuses: Mapping[int, int] = field(default_factory=dict)
    probe: str = "/models"
    embeds: bool = False
    check_extra: CheckExtra | None = None


#: A server of which nothing is known.
ANY_SERVER = Dialect(embeds=True)


class ChatCompletions:
    """An adapter for a server that speaks Chat Completions, in a dialect."""

    def __init__(
        self, name: str, base_url: str | None = None, dialect: Dialect = ANY_SERVER
    ) -> None:
        self.name = name
        self._base_url = base_url
        self._dialect = dialect

    def check(self, params: Params, model: str) -> None:
        """Refuse what the vendor does not take, as `Adapter.check` says."""
        if params.embed is not None and self._dialect.embeds:
            return
        check_extra(self.name, params, _OURS_IN_EXTRA)
        if self._dialect.check_extra is not None:
            self._dialect.check_extra(params.extra or {})
        check_params(self.name, self._dialect.table.of(model), params, model)

    def check_prompt(self, messages: Sequence[Message], model: str) -> None:
        """Refuse images that the vendor does not take, as `Adapter.check_prompt` says."""
        check_images(self.name, self._dialect.table.of(model), messages, model)

    def build(self, call: CallInput, credential: CredentialLike) -> Request:
        """A request, as `Adapter.build` says."""
        embeds = call.params.embed is not None
        path = EMBEDDINGS if embeds else "/chat/completions"
        body = embeddings_body(call) if embeds else self._body(call)
        url = url_of(self.name, credential, self._base_url, path)
        return json_request(self.name, url, body, call, self._auth(credential))

    def probe(self, credential: CredentialLike) -> Request:
        """A request that tells a good key from a bad one, as `Adapter.probe` says."""
        probe = self._dialect.probe
        if not probe.startswith("/") and credential.base_url is None:
            return Request("GET", probe, self._auth(credential))
        path = probe if probe.startswith("/") else "/models"
        url = url_of(self.name, credential, self._base_url, path)
        return Request("GET", url, self._auth(credential))

    def failure(self, response: Response, credential: CredentialLike) -> ProviderError:
        """The error that a response stands for, as `Adapter.failure` says."""
        return failure_of(response, error_words(response.body, self._dialect.words), credential)

    def read(self, response: Response, call: CallInput, credential: CredentialLike) -> Completion:
        """The completion, as `Adapter.read` says."""
        if not 200 <= response.status_code < 300:  # noqa: PLR2004 - the class of successes
            raise self.failure(response, credential)
        try:
            return (completion_of if call.params.embed is None else embeddings_of)(response, call)
        except MalformedCompletionError as error:
            inside = failure_inside(response, self._dialect.words, self._dialect.statuses)
            if inside is None:
                raise
            # Gateways answer for others, and say what those said.
            said = failure_of(inside.response, inside.said, credential)
            said.usage = error.usage
            raise said from error

    def _auth(self, credential: CredentialLike) -> dict[str, str]:
        return key_header(self.name, credential, "authorization", "Bearer ")

    def _body(self, call: CallInput) -> dict[str, Any]:
        dialect, params = self._dialect, call.params
        fitted = dialect.table.of(call.model).fitted(params)
        body: dict[str, Any] = (
            {**dialect.always, **params.extra} if params.extra else {**dialect.always}
        )
        body["model"] = call.model
        body["messages"] = call.messages
        for name in _SAME:
            value = getattr(fitted, name)
            if value is not None:
                body[name] = value
        if fitted.seed is not None:
            body[dialect.seed_field] = fitted.seed
        if fitted.reasoning_effort is not None:
            body.update(dialect.effort(fitted.reasoning_effort))
        if (tokens_max := call.output_tokens_max) is not None:
            body[dialect.tokens_field] = tokens_max
        return body
