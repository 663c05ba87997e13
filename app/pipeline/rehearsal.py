"""A rehearsal of one job: its mode is led through its rounds with answers that are made up.

Modes are pure, so what they would ask is found by asking them. Nothing is sent.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from app.billing.bound import IMAGE_TOKENS
from app.domain.completion import FinishReason
from app.domain.plan import CallResult, JobView, Outcome, Plan, PlannedCall
from app.domain.prompt import ImagePart, Messages, Prompt
from app.domain.states import CallState, Role
from app.modes.judge_prompt import tied_verdict
from app.modes.registry import mode_for

#: English and code have about four characters to a token, other scripts fewer.
CHARS_PER_TOKEN = 4
_OTHER_CHARS_PER_TOKEN = 1.5
#: Around a message, and around a request.
_MESSAGE_TOKENS, _REQUEST_TOKENS = 4, 3
_IMAGE_TOKENS = 1000
_ROUNDS_MAX = 32


class Asked(NamedTuple):
    """A call of the rehearsal, and how many input tokens it may take."""

    call: PlannedCall
    input_tokens: int


def tokens_of(messages: Messages) -> int:
    """About how many input tokens these messages are, by their characters."""
    tokens = _REQUEST_TOKENS
    for message in messages:
        tokens += _MESSAGE_TOKENS + _text_tokens(message.text)
        if not isinstance(message.content, str):
            images = sum(isinstance(part, ImagePart) for part in message.content)
            tokens += images * min(_IMAGE_TOKENS, IMAGE_TOKENS)
    return tokens


def _text_tokens(text: str) -> int:
    if text.isascii():
        return -(-len(text) // CHARS_PER_TOKEN)
    ascii_chars = len(text.encode("ascii", "ignore"))
    return round(ascii_chars / CHARS_PER_TOKEN + (len(text) - ascii_chars) / _OTHER_CHARS_PER_TOKEN)


def rehearse(
    plan: Plan, prompt: Prompt, answer_tokens: Callable[[PlannedCall], int]
) -> list[Asked]:
    """Every call that one job makes if nothing fails, in order.

    Judges are taken to find all answers alike, which is what a cascade asks most judges for;
    what repairs a verdict that cannot be read is beyond the expected.

    Args:
        plan: the batch's.
        prompt: the job's.
        answer_tokens: how long an answer is made up.
    """
    mode, view = mode_for(plan.mode), JobView(prompt, plan, seed="rehearsal")
    asked: list[Asked] = []
    results: list[CallResult] = []
    step = mode.plan(view)
    for number in range(1, _ROUNDS_MAX):
        asked += [Asked(call, tokens_of(call.messages or prompt.messages)) for call in step.calls]
        results += [_made_up(call, number, answer_tokens(call)) for call in step.calls]
        after = mode.advance(view, results)
        if isinstance(after, Outcome):
            break
        step = after
    return asked


def _made_up(call: PlannedCall, number: int, tokens: int) -> CallResult:
    return CallResult(
        number,
        call.role,
        call.label,
        CallState.SUCCEEDED,
        text=tied_verdict(call) if call.role is Role.JUDGE else "word" * tokens,
        meta=call.meta,
        status_code=200,
        latency_ms=0,
        finish_reason=FinishReason.STOP,
    )


def mean_prompt(prompts: Sequence[Prompt]) -> Prompt:
    """The prompt whose length is nearest to the mean: it stands for all of them."""
    sizes = [tokens_of(prompt.messages) for prompt in prompts]
    mean = sum(sizes) / len(sizes)
    nearest = min(range(len(sizes)), key=lambda index: abs(sizes[index] - mean))
    return prompts[nearest]
