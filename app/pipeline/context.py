"""Whether prompts fit into the models that read them, as far as their windows are known.

Tokens are estimated from characters. Refused is only what is too long even where a token takes
in many characters; what is too long by the ordinary estimate is a problem in an estimate, and
left to the vendor at submit: a count that is off must not lock anybody out.
"""

import sys
from dataclasses import dataclass, field

import msgspec

from app.billing.windows import context_tokens
from app.domain.errors import InvalidRequestError
from app.domain.plan import Plan
from app.domain.prompt import Messages, Variant
from app.domain.spec import BatchBody
from app.domain.states import Role
from app.pipeline.lanes import Named, variants_of
from app.pipeline.lines import Rules
from app.pipeline.rehearsal import tokens_of
from app.pipeline.templates import MessagesTemplate
from app.pipeline.variants import prompt_check

#: Of the estimate, what a prompt has in any case.
SURELY = 0.7
#: What a judge's own rules, its verdict and a first one that is shown again take, in tokens.
_AROUND_MATERIAL = 3_000
#: What judges are shown at the most, in characters, and how few of them a token may take in.
_MATERIAL_CHARS, _CHARS_PER_TOKEN = 100_000, 1.5
_SHARE_MIN = 0.02


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
    readers = [one for one in variants_of(plan) if one.role is Role.JUDGE or plan.blend is not None]
    smallest = min((_tokens(one.variant) or sys.maxsize for one in readers), default=sys.maxsize)
    share = max((smallest - _AROUND_MATERIAL) * _CHARS_PER_TOKEN / _MATERIAL_CHARS, _SHARE_MIN)
    return plan if share >= 1 else msgspec.structs.replace(plan, shown_share=round(share, 3))
