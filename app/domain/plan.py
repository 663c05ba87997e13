"""Plans: which calls a job makes next, and how it ends. A mode turns one into the other."""

from collections.abc import Sequence
from typing import Any, Literal, Protocol

import msgspec

from app.domain.checks import Check
from app.domain.completion import FinishReason
from app.domain.prompt import Message, ModelRef, Params, Prompt, Variant
from app.domain.states import CallState, Role
from app.domain.verdict import Verdict

Scoring = Literal["rubric", "pairwise"]


class JudgeSpec(msgspec.Struct, frozen=True, omit_defaults=True):
    """Who judges, and by what.

    `pairs` bounds how many pairs of a job are compared, drawn so that everybody is in one.
    `checks` come first. `escalate_below` makes a cascade: the first judge alone, and the others
    only where the best is less than so many points ahead of the next. `canary` adds an answer
    that only asks for the win, to see whether a judge falls for it.
    """

    judges: tuple[Variant, ...]
    criteria: tuple[str, ...] = ()
    allow_self: bool = False
    scoring: Scoring = "rubric"
    pairs: int | None = None
    checks: tuple[Check, ...] = ()
    escalate_below: float | None = None
    canary: bool = False


#: The mode of a batch whose jobs follow plans of different modes.
MIXED = "mixed"

BlendStrategy = Literal["consensus", "council", "best_of", "chain", "moa", "self_moa"]
MeshStrategy = Literal["rate-limit", "latency", "cost", "round-robin"]


class BlendSpec(msgspec.Struct, frozen=True, omit_defaults=True):
    """How answers become one, and by whom.

    `synthesizer` None is the first model with its own parameters; `min_candidates` None is 2.
    `layers` counts for moa, `samples` for self_moa. `vary_temperature` says that the model of
    self_moa takes a temperature, which is then drawn for each sample unless the batch sets one.
    `contribution` makes the synthesis again without each answer, for the judges to compare.
    """

    strategy: BlendStrategy = "consensus"
    synthesizer: Variant | None = None
    layers: int = 1
    samples: int = 3
    min_candidates: int | None = None
    vary_temperature: bool = True
    contribution: bool = False


class MeshSpec(msgspec.Struct, frozen=True, omit_defaults=True):
    """Which models are tried where one does not answer.

    `order` has labels, best first, as latency or cost was when the batch was submitted; other
    strategies need none.
    """

    fallback: tuple[Variant, ...]
    strategy: MeshStrategy = "rate-limit"
    order: tuple[str, ...] = ()


class OwnPrice(msgspec.Struct, frozen=True, omit_defaults=True):
    """A price of an account's own, in micro-dollars per million tokens, by who is charged.

    `cache_read_micros` None is the price of any other input; so is writing to a cache.
    """

    provider: str
    model: str
    billed: str
    input_micros: int
    output_micros: int
    cache_read_micros: int | None = None


class Plan(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a batch asks of every job, fixed at submit.

    Where the lines of an input ask for different things, `others` has a plan for each of them;
    a job says by its number which one it follows, and 0 is this one. `prices` are the account's
    own of the models in it, as they were then; `margin_percent` is put on what is paid with
    credits. So that models with a small context can read several answers, judges are shown
    `shown_share` of what is usual, and `room_tokens` is what a conversation and the answers to
    it that a synthesizer reads may have together; None where nobody knows a limit.
    """

    mode: str
    variants: tuple[Variant, ...]
    judge: JudgeSpec | None = None
    blend: BlendSpec | None = None
    mesh: MeshSpec | None = None
    prices: tuple[OwnPrice, ...] = ()
    margin_percent: int = 0
    shown_share: float = 1.0
    room_tokens: int | None = None
    others: tuple["Plan", ...] = ()

    @property
    def all(self) -> "tuple[Plan, ...]":
        """Every plan of the batch, by number."""
        return (self, *self.others)

    @property
    def mode_of_all(self) -> str:
        """The mode that every plan of the batch has, or that there are several."""
        return self.mode if all(one.mode == self.mode for one in self.others) else MIXED

    def of(self, number: int) -> "Plan":
        """The plan of a number."""
        return self.others[number - 1] if number else self

    def asked_with(self, own: Params) -> "Plan":
        """The plan of a job with parameters of its own: where a contestant's are unset."""

        def with_own(variants: tuple[Variant, ...]) -> tuple[Variant, ...]:
            return tuple(
                msgspec.structs.replace(one, params=one.params.over(own)) for one in variants
            )

        mesh = self.mesh
        if mesh is not None:
            mesh = msgspec.structs.replace(mesh, fallback=with_own(mesh.fallback))
        return msgspec.structs.replace(self, variants=with_own(self.variants), mesh=mesh)


class JobView(msgspec.Struct, frozen=True):
    """What a mode may know of a job. `seed` is the job's own, for reproducible shuffles."""

    prompt: Prompt
    plan: Plan
    seed: str


class PlannedCall(msgspec.Struct, frozen=True):
    """One call a mode asks for.

    `messages` is None where the call asks the job's own prompt; `meta` is recorded with the
    call and handed back with its result (a judge's shuffle, say). `fail_fast`: the mode has
    another model to try, so what could be tried again or waited for ends the call instead.
    """

    role: Role
    label: str
    ref: ModelRef
    params: Params
    messages: list[Message] | None = None
    meta: dict[str, Any] | None = None
    fail_fast: bool = False


class Round(msgspec.Struct, frozen=True):
    """Calls that may run at the same time."""

    calls: tuple[PlannedCall, ...]


class CallResult(msgspec.Struct, frozen=True):
    """How one closed call of the job ended; `text` is "" where it has no completion.

    `status_code` and `latency_ms` are its last attempt's, None where nothing was sent.
    """

    round: int
    role: Role
    label: str
    state: CallState
    text: str = ""
    error_reason: str | None = None
    meta: dict[str, Any] | None = None
    status_code: int | None = None
    latency_ms: int | None = None
    finish_reason: FinishReason | None = None

    @property
    def succeeded(self) -> bool:
        """Whether it has an answer."""
        return self.state is CallState.SUCCEEDED


class Synthesis(msgspec.Struct, frozen=True):
    """What a blend came to; its text is the answer of the call that `label` names.

    `sources` are the labels of the models that were asked, `candidates` those of the calls
    whose answers went into the text, `left_out` of those that a chain could not take in.
    `fell_back` says that the text is no synthesis but the best candidate by rule, and `reason`
    why there was none, or why something was left out.
    """

    label: str
    strategy: BlendStrategy
    synthesizer: str
    sources: list[str]
    candidates: list[str]
    layers: int = 1
    fell_back: bool = False
    reason: str | None = None
    left_out: list[str] = []


class RouteStep(msgspec.Struct, frozen=True):
    """One model on a mesh's way to an answer; one that was skipped was not asked at all."""

    label: str
    model: str
    outcome: Literal["succeeded", "failed", "skipped"]
    reason: str | None = None
    status_code: int | None = None
    latency_ms: int | None = None


class Outcome(msgspec.Struct, frozen=True):
    """How a job ends. `reason` is one machine-readable word where it failed."""

    succeeded: bool
    reason: str | None = None
    message: str | None = None
    verdict: Verdict | None = None
    synthesis: Synthesis | None = None
    route: list[RouteStep] | None = None


class Mode(Protocol):
    """One way to answer a prompt. Pure: no I/O, no clock, no randomness but the job's seed."""

    name: str
    #: Whether `advance` reads the answers' text, or asks the job's prompt in a later round;
    #: the others are spared the query.
    needs_text: bool

    def check(self, plan: Plan) -> None:
        """Refuse a plan this mode cannot run.

        Raises:
            InvalidRequestError: with the field at fault in `param`.
        """
        ...

    def plan(self, job: JobView) -> Round:
        """The first round."""
        ...

    def advance(self, job: JobView, results: Sequence[CallResult]) -> Round | Outcome:
        """The next round, or the outcome, given every closed call of the job so far."""
        ...

    def later_calls(self, plan: Plan) -> Sequence[tuple[Variant, int]]:
        """Calls there may be beyond one for each variant, each with how many answers it reads.

        An upper bound, used for the hold of credits at submit and for estimates.
        """
        ...
