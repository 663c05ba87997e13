"""Plans: which calls a job makes next, and how it ends. A mode turns one into the other."""

from collections.abc import Sequence
from typing import Any, Literal, Protocol

import msgspec

from app.domain.prompt import Message, ModelRef, Params, Prompt, Variant
from app.domain.states import CallState, Role
from app.domain.verdict import Verdict


class JudgeSpec(msgspec.Struct, frozen=True, omit_defaults=True):
    """Who judges, and by what."""

    judges: tuple[Variant, ...]
    criteria: tuple[str, ...] = ()
    allow_self: bool = False
    scoring: Literal["rubric"] = "rubric"


class Plan(msgspec.Struct, frozen=True):
    """What a batch asks of every job: fixed at submit, the same for all its jobs."""

    mode: str
    variants: tuple[Variant, ...]
    judge: JudgeSpec | None = None


class JobView(msgspec.Struct, frozen=True):
    """What a mode may know of a job. `seed` is the job's own, for reproducible shuffles."""

    prompt: Prompt
    plan: Plan
    seed: str


class PlannedCall(msgspec.Struct, frozen=True):
    """One call a mode asks for.

    `messages` is None where the call asks the job's own prompt; `meta` is recorded with the
    call and handed back with its result (a judge's shuffle, say).
    """

    role: Role
    label: str
    ref: ModelRef
    params: Params
    messages: list[Message] | None = None
    meta: dict[str, Any] | None = None


class Round(msgspec.Struct, frozen=True):
    """Calls that may run at the same time."""

    calls: tuple[PlannedCall, ...]


class CallResult(msgspec.Struct, frozen=True):
    """How one closed call of the job ended; `text` is "" where it has no completion."""

    round: int
    role: Role
    label: str
    state: CallState
    text: str = ""
    error_reason: str | None = None
    meta: dict[str, Any] | None = None

    @property
    def succeeded(self) -> bool:
        """Whether it has an answer."""
        return self.state is CallState.SUCCEEDED


class Outcome(msgspec.Struct, frozen=True):
    """How a job ends. `reason` is one machine-readable word where it failed."""

    succeeded: bool
    reason: str | None = None
    message: str | None = None
    verdict: Verdict | None = None


class Mode(Protocol):
    """One way to answer a prompt. Pure: no I/O, no clock, no randomness but the job's seed."""

    name: str
    #: Whether `advance` reads the answers' text; the others are spared the query.
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
        """Calls that may follow the first round, each with how many earlier answers it reads.

        An upper bound, used for the hold of credits at submit and for estimates.
        """
        ...
