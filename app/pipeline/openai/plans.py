"""From the bodies of lines to plans: few of them, for most lines ask for the same."""

from dataclasses import dataclass
from typing import Any

import msgspec

from app.billing.bound import input_tokens_max, schema_tokens_max
from app.db import Store
from app.domain.errors import InvalidRequestError
from app.domain.plan import Plan
from app.domain.prompt import Messages, Params, Prompt, Variant, is_plain
from app.pipeline.account_plan import account_plan
from app.pipeline.context import Windows, windows_of
from app.pipeline.lanes import require_lanes, variants_of
from app.pipeline.lines import CheckPrompt
from app.pipeline.openai.asked import Endpoint, Fields, PlainBody, Raws, are_plain_turns, params_of
from app.pipeline.openai.beyond import FIELD, body_of, of_line, over, read_beyond
from app.pipeline.openai.names import Names, is_full
from app.pipeline.variants import prompt_check, read_params
from app.providers import registry
from app.providers.registry import SIMULATED

PLANS_MAX = 256
_KEPT = 4096
_ALL_TEXTS = frozenset({"messages", "input", "instructions"})


@dataclass(frozen=True, slots=True)
class _Planned:
    """A plan with its number, and what prompts that follow it are held to."""

    number: int
    plan: Plan
    check_prompt: CheckPrompt
    windows: Windows


@dataclass(frozen=True, slots=True)
class Settled:
    """What a line's body stands for, but for its texts.

    Attributes:
        planned: the plan that it follows.
        params: its parameters; unset where it has none.
        tokens: what these add to the bound on the tokens of its texts.
        reference: what judges are shown.
    """

    planned: _Planned
    params: Params | msgspec.UnsetType
    tokens: int
    reference: str | None


class Plans:
    """Every plan that the lines of one input ask for.

    Args:
        store: where the account's keys are read.
        account_id: whose lines they are.
        endpoint: how their bodies are read.
        defaults: the batch's own `overnight` object.
    """

    def __init__(self, store: Store, account_id: str, endpoint: Endpoint, defaults: Fields) -> None:
        self._store, self._account_id = store, account_id
        self._names: Names | None = None
        self._endpoint = endpoint
        self._defaults = of_line(defaults)
        self._planned: dict[bytes, _Planned] = {}
        self._settled: dict[tuple[object, ...], Settled] = {}
        self._last: tuple[PlainBody, Settled] | None = None  # of the line before: most ask alike

    @property
    def plan(self) -> Plan:
        """All of them as one: the first, with the others."""
        first, *others = (one.plan for one in self._planned.values())
        return msgspec.structs.replace(first, others=tuple(others))

    @property
    def models(self) -> set[str]:
        """The contestants of all of them, as `provider/model`."""
        return {
            str(one.ref) for planned in self._planned.values() for one in _contestants(planned.plan)
        }

    def read(self, body: Raws) -> tuple[Prompt, int, int]:
        """The prompt, the number of its plan, and the bound on its tokens, of a line's body.

        Raises:
            InvalidRequestError: something of it is wrong; `param` is relative to the body.
        """
        rest = dict(body)
        for name in self._endpoint.texts:
            rest.pop(name, None)
        settled = self._settled_for(rest)
        messages = self._endpoint.messages(body)
        return self._prompt_of(settled, messages, are_plain=all(map(is_plain, messages)))

    def read_plain(self, body: PlainBody) -> tuple[Prompt, int, int]:
        """The same of a body that was read at once.

        Raises:
            InvalidRequestError: something of it is wrong; `param` is relative to the body.
        """
        messages = body.take_messages()
        if self._last is None or body != self._last[0]:
            self._last = body, self._settled_for(body.rest())
        are_plain = are_plain_turns(messages, "messages")
        return self._prompt_of(self._last[1], messages, are_plain=are_plain)

    def _prompt_of(
        self, settled: Settled, messages: Messages, *, are_plain: bool
    ) -> tuple[Prompt, int, int]:
        planned = settled.planned
        if not are_plain:
            planned.check_prompt(messages)
        tokens_max = input_tokens_max(messages)
        if tokens_max > planned.windows.smallest:
            planned.windows.check(messages, self._endpoint.texts[0])
        prompt = Prompt(messages, settled.reference, settled.params)
        return prompt, planned.number, tokens_max + settled.tokens

    def _settled_for(self, rest: Raws) -> Settled:
        key = (*rest, *map(bytes, rest.values()))
        settled = self._settled.get(key)
        if settled is None:
            settled = self._settle(rest)
            if len(self._settled) >= _KEPT:
                self._settled.clear()
            self._settled[key] = settled
        return settled

    def _settle(self, rest: Raws) -> Settled:
        given = {name: msgspec.json.decode(raw) for name, raw in rest.items()}
        _check_fields(given)
        model = given.pop("model", None)
        said = given.pop(FIELD, None)
        beyond = over({} if said is None else read_beyond(said, FIELD), self._defaults)
        reference = beyond.pop("reference", None)
        fields = params_of(self._endpoint, given)
        planned = self._plan(model, beyond)
        params = _read_params(fields)
        if params.embed is not None and planned.plan.mode != "chat":
            raise InvalidRequestError(f"{FIELD}: one model makes embeddings", param=FIELD)
        for variant in _contestants(planned.plan):
            _check_params(variant, params)
        if not isinstance(reference, str | None):
            raise InvalidRequestError(f"{FIELD}.reference: should be a text", param=FIELD)
        own = msgspec.UNSET if params == _NO_PARAMS else params
        return Settled(planned, own, schema_tokens_max(params), reference)

    def _plan(self, model: Any, beyond: Fields) -> _Planned:
        key = msgspec.json.encode((None if "models" in beyond else model, beyond))
        planned = self._planned.get(key)
        if planned is None:
            if len(self._planned) >= PLANS_MAX:
                raise InvalidRequestError(
                    f"model: one batch takes at most {PLANS_MAX} different models and overnight "
                    "objects; split it",
                    param="model",
                )
            plan = self._make(model, beyond)
            planned = _Planned(len(self._planned), plan, prompt_check(plan), windows_of(plan))
            self._planned[key] = planned
        return planned

    def _full(self, model: str) -> str:
        """A model as `provider/model`; whose keys there are is read when a bare name needs it."""
        if is_full(model):
            return model
        if self._names is None:
            with self._store.read() as session:
                self._names = Names(session, self._account_id)
        return self._names.full(model)

    def _make(self, model: Any, beyond: Fields) -> Plan:
        full = None
        if "models" not in beyond:
            if not isinstance(model, str) or not model:
                raise InvalidRequestError("model: is required", param="model")
            full = self._full(model)
        try:
            body = body_of(full, beyond)
            with self._store.read() as session:
                plan = account_plan(session, self._account_id, body)
                keyed = [one for one in variants_of(plan) if one.variant.ref.provider != SIMULATED]
                require_lanes(session, self._account_id, keyed)
                return plan
        except InvalidRequestError as error:
            if full is not None and (error.param or "").startswith("models"):
                message = error.message.removeprefix(f"{error.param}: ")
                raise InvalidRequestError(f"model: {message}", param="model") from None
            raise InvalidRequestError(
                f"{FIELD}.{error.message}", param=f"{FIELD}.{error.param}"
            ) from None


_NO_PARAMS = Params()


def _check_fields(given: Fields) -> None:
    for name in given:
        if name in _ALL_TEXTS:
            raise InvalidRequestError(f"{name}: is no field of this endpoint", param=name)
    if "\\u0000" in msgspec.json.encode(given).decode():
        raise InvalidRequestError("text must not hold NUL characters")


def _contestants(plan: Plan) -> tuple[Variant, ...]:
    return plan.variants + (plan.mesh.fallback if plan.mesh is not None else ())


def _read_params(fields: Fields) -> Params:
    try:
        return read_params(fields, "body")
    except InvalidRequestError as error:
        param = (error.param or "").removeprefix("body.")
        message = error.message.removeprefix("body.")
        raise InvalidRequestError(message, param=param) from None


def _check_params(variant: Variant, params: Params) -> None:
    """Refuse what one of the models does not take."""
    provider = variant.ref.provider
    if not registry.is_known(provider):
        return  # whoever asks for its lane says so
    if params.extra and not registry.speaks_openai(provider):
        name = next(iter(params.extra))
        raise InvalidRequestError(
            f"{name}: is no parameter that {provider} knows; it is passed on as it is only to "
            "who speaks OpenAI's language",
            param=name,
        )
    try:
        registry.adapter_for(provider).check(variant.params.over(params), variant.ref.model)
    except InvalidRequestError as error:
        param = (error.param or "").removeprefix("extra.") or None
        named = f"{param}: " if param else ""
        raise InvalidRequestError(f"{named}{error.message}", param=param) from None
