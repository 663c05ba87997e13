"""Readers with a small context are shown a share of what others are, and it is recorded."""

import msgspec
import pytest

from app.domain.prompt import Message
from app.modes.blend_prompt import Rules, ask_with_answers
from app.modes.excerpt import ANSWERS_CHARS_MAX
from app.modes.judge_material import REFERENCE_CHARS_MAX, TASK_CHARS_MAX, gather
from tests.factories.plans import make_job, make_judge_plan

SHARE = 0.1
HUGE = {"a": "x" * 1_000_000, "b": "y" * 1_000_000}


def test_j9_task_reference_and_answers_are_cut_to_the_share_of_a_small_context():
    plan = msgspec.structs.replace(make_judge_plan(), shown_share=SHARE)
    material = gather(make_job(plan, "q" * 100_000, reference="z" * 100_000), HUGE)

    ((_, task),) = material.task
    assert task.text.count("q") == TASK_CHARS_MAX * SHARE
    assert material.reference.text.count("z") == REFERENCE_CHARS_MAX * SHARE
    assert material.answers["a"].text.count("x") == ANSWERS_CHARS_MAX * SHARE / 2
    assert material.answer_chars_max == ANSWERS_CHARS_MAX * SHARE / 2


@pytest.mark.parametrize(
    ("room_tokens", "asked", "shown"),
    [
        (None, "Why?", ANSWERS_CHARS_MAX),
        (10_000, "Why?" * 3_000, 9_000),  # 12,000 characters are 4,000 of the tokens
        (10_000, "Why?" * 30_000, 1_280),
    ],
)
def test_j9_a_synthesizer_is_shown_of_answers_what_the_conversation_leaves_of_its_room(
    room_tokens: int | None, asked: str, shown: int
):
    conversation = [Message("user", asked)]
    rules = Rules("Blend.")
    told = ask_with_answers(conversation, rules, HUGE, ("s",), room_tokens=room_tokens)
    assert sum(message.text.count("x") for message in told.messages) >= shown / 2
    assert told.meta["answer_chars_max"] == shown / 2
