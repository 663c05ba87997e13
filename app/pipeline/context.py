"""Whether prompts fit into the models that read them, as far as their windows are known.

Tokens are estimated from characters. Refused is only what is too long even where a token takes
in many characters; what is too long by the ordinary estimate is a problem in an estimate, and
left to the vendor at submit: a count that is off must not lock anybody out.
"""

import sys
from collections.abc import Iterable
from dataclasses import dataclass, field

import msgspec

from app.billing.windows import context_tokens
from app.domain.errors import InvalidRequestError
from app.domain.plan import Plan
from app.domain.prompt import Messages, Variant
from app.domain.spec import BatchBody
from app.domain.states import Role
from app.modes.excerpt import CHARS_PER_TOKEN_MIN, SHARE_MIN
from app.pipeline.lanes import Named, variants_of
from app.pipeline.lines import Rules
from app.pipeline.rehearsal import tokens_of
from app.pipeline.templates import MessagesTemplate
from app.pipeline.variants import prompt_check

#: Of the estimate, what a prompt has in any case.
SURELY = 0.7
#: What our rules, a judge's verdict and a first one that is shown again take, in tokens.
_AROUND_MATERIAL = 3_000
#: What judges are shown at the most, in characters.
_MATERIAL_CHARS = 100_000


@dataclass(slots=True)
class Window:
    """A model that reads prompts whole, and how many were found that do not fit.

    Attributes:
        field: the field of the submission that names it.
        model: its name.
        tokens: its context window.
        answer_tokens: what of it an answer may need; 0 where no bound is set.
        too_long: prompts that would be refused.
        doubtful: prompts that leave no room for such an answer, or are too long if as estimated.
        first: what the first of the worse kind is called, and its tokens.
    """

    field: str
    model: str
    tokens: int
    answer_tokens: int
    too_long: int = 0
    doubtful: int = 0
    first: tuple[str, int] = ("", 0)

    def count(self, name: str, tokens: int) -> None:
        """Take a prompt of about so many tokens into account."""
        if tokens * SURELY > self.tokens:
            self.too_long += 1
            is_first = self.too_long == 1
        elif tokens + self.answer_tokens > self.tokens:
            self.doubtful += 1
            is_first = self.doubtful == 1 and not self.too_long
        else:
            return
        if is_first:
            self.first = (name, tokens)


@dataclass(slots=True)
class Windows:
    """The known windows of the models that read prompts whole.

    `smallest` is how many tokens fit into all of them.
    """

    of: list[Window] = field(default_factory=list)
    smallest: int = sys.maxsize

    def check(self, messages: Messages, where: str) -> None:
        """Refuse a prompt that surely does not fit.

        Raises:
            InvalidRequestError: naming the line, the model, the tokens and the limit.
        """
        tokens = tokens_of(messages)
        for one in self.of:
            if tokens * SURELY > one.tokens:
                raise InvalidRequestError(
                    f"{where}: the prompt has about {tokens:,} tokens, and {one.model} takes at "
                    f"most {one.tokens:,}, its answer included; shorten it, or ask a model with "
                    "a larger context",
                    param=where,
                )

    def count(self, name: str, tokens: int) -> None:
        """Take a job's prompt of about so many tokens into account."""
        for one in self.of:
            one.count(name, tokens)


def windows_of(plan: Plan) -> Windows:
    """The known windows of all that read a job's prompt whole: all but judges."""
    found: dict[str, Window] = {}
    for named in variants_of(plan):
        if named.role is Role.JUDGE:
            continue
        window = _window(named)
        if window is not None:
            known = found.setdefault(window.model, window)
            known.answer_tokens = max(known.answer_tokens, window.answer_tokens)
    return Windows(
        list(found.values()), min((one.tokens for one in found.values()), default=sys.maxsize)
    )


def _window(named: Named) -> Window | None:
    tokens = _tokens(named.variant)
    if tokens is None:
        return None
    variant = named.variant
    return Window(named.field, str(variant.ref), tokens, variant.params.max_tokens or 0)


def _tokens(variant: Variant) -> int | None:
    return context_tokens(variant.ref.provider, variant.ref.model)


def rules_of(plan: Plan, body: BatchBody, windows: Windows | None = None) -> Rules:
    """What the lines of a submission are held to; their length only where windows are given.

    Raises:
        InvalidRequestError: the template is not one.
    """
    template = None if body.template is None else MessagesTemplate(body.template)
    if windows is None:
        return Rules(prompt_check(plan), template)
    return Rules(prompt_check(plan), template, windows.smallest, windows.check)


def with_material_fitted(plan: Plan) -> Plan:
    """The plan, showing readers of many answers no more than the smallest of them can take in."""
    others = tuple(map(_fitted, plan.others))
    return msgspec.structs.replace(_fitted(plan), others=others)


def _fitted(plan: Plan) -> Plan:
    named = variants_of(msgspec.structs.replace(plan, others=()))
    judges = _room_of(one.variant for one in named if one.role is Role.JUDGE)
    if judges is not None:
        share = max(judges * CHARS_PER_TOKEN_MIN / _MATERIAL_CHARS, SHARE_MIN)
        plan = msgspec.structs.replace(plan, shown_share=min(1.0, round(share, 3)))
    if plan.blend is None:
        return plan
    # Models of a later layer read answers as well.
    readers = _room_of(one.variant for one in named if one.role is not Role.JUDGE)
    return msgspec.structs.replace(plan, room_tokens=readers)


def _room_of(readers: Iterable[Variant]) -> int | None:
    """What the smallest of their contexts leaves for what they read, in tokens, if it is known."""
    known = [
        tokens - _AROUND_MATERIAL - (one.params.max_tokens or 0)
        for one in readers
        if (tokens := _tokens(one)) is not None
    ]
    return min(known, default=None)
