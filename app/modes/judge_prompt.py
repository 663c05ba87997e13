"""What a judge is told and shown, and the shape of what it must answer.

A judge call has two messages. The system message is ours alone: how to judge, and nothing
of any contestant. The user message shows the material, as data, and lists the ids:

    <<data 5kq3vj2mzx7c6d4a>>
    {"task":[…],"contestants":[{"id":"x7f2qa","answer":"…"},…]}
    <<end 5kq3vj2mzx7c6d4a>>

The document is one line of JSON: split the message on line feeds (nothing else), find
the line that starts with `<<data `, and read the next. Its fields:

- `task`: the job's conversation, `[{"role": "user", "text": "…"}, …]`
- `task_messages_left_out`: how many of its messages are not shown; only where some are not
- `reference`: `{"text": "…"}`, the job's reference answer; only where it has one
- `criteria`: `[{"id": "c1", "criterion": "correct"}, …]`; only where the batch has some
- `contestants`: `[{"id": "x7f2qa", "answer": "…"}, …]`, in an order of this call's own

A text that was too long is cut, and the object that holds it has `shortened_from`, its
length before. Where the task has images, the message's content is a list: this text, then
the images. A repair adds the judge's own earlier answer to the end of the user message.

The answer is one JSON object, asked for as `response_format` json_schema `verdict`:

    {"scores": {"x7f2qa": {"reasoning": "…", "criteria": {"c1": 8}, "score": 7.5}, …},
     "overall": "…"}

with every contestant's id once, scores from 0 to 10, and `criteria` only where there are some.

Where pairs are compared, `contestants` has the two in the order that the call was planned with,
and the answer is asked for as json_schema `preference`:

    {"reasoning": "…", "winner": "x7f2qa"}

with one of the two ids, or `tie`.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from app.domain.plan import PlannedCall
from app.domain.prompt import ImagePart, Message, TextPart
from app.modes import judge_wording as wording
from app.modes.draw import Draw
from app.modes.excerpt import ID_CHARS, cut, one_line
from app.modes.judge_material import Material

SCORE_MAX = 10
#: Half points: fine enough to part close answers, coarse enough to mean something.
SCORE_STEPS = [half // 2 if half % 2 == 0 else half / 2 for half in range(2 * SCORE_MAX + 1)]
PREVIOUS_CHARS_MAX = 8_000
#: What a judge says of two answers of which neither is better.
TIE = "tie"


class Question(msgspec.Struct, frozen=True):
    """What one judge is asked, and the contestants behind the ids, in the order shown."""

    messages: list[Message]
    contestants: dict[str, str]


def put_question(
    material: Material, criteria: Sequence[str], *seed: str, pair: Sequence[str] = ()
) -> Question:
    """Ask a judge. The seed decides the ids, the fence and the order, unless it is of a pair."""
    request, contestants = _request(material, criteria, seed, pair)
    return Question(_messages(material, criteria, request, bool(pair)), contestants)


def put_again(
    material: Material,
    criteria: Sequence[str],
    *seed: str,
    previous: str,
    problem: str,
    pair: Sequence[str] = (),
) -> Question:
    """Ask a judge once more, showing it the answer that could not be used, and why."""
    request, contestants = _request(material, criteria, seed, pair)
    repair = wording.REPAIR.format(
        fence=Draw(*seed, "again", avoid=_all_text(material) + previous).unused("fence"),
        document=one_line(cut(previous, PREVIOUS_CHARS_MAX).under("answer")),
        problem=problem,
        whom="Compare the two" if pair else "Judge the contestants",
    )
    # In the same message: there are chat templates that refuse two user messages in a row,
    # and vendors that refuse an empty message of the assistant's.
    return Question(_messages(material, criteria, request + repair, bool(pair)), contestants)


def verdict_format(contestants: Sequence[str], criteria: Sequence[str]) -> dict[str, Any]:
    """The `response_format` that asks for a verdict on these ids.

    Each id is a required property, so that a server which decodes by the schema can neither
    leave a contestant out nor score one twice. Scores are listed, because many vendors take
    no bounds on numbers.
    """
    score = {"type": "number", "enum": SCORE_STEPS}
    parts: dict[str, Any] = {"reasoning": {"type": "string"}}
    if criteria:
        parts["criteria"] = _object(dict.fromkeys(criterion_ids(criteria), score))
    parts["score"] = score
    assessments = {key: {"$ref": "#/$defs/assessment"} for key in contestants}
    schema = _object({"scores": _object(assessments), "overall": {"type": "string"}})
    schema["$defs"] = {"assessment": _object(parts)}
    return {
        "type": "json_schema",
        "json_schema": {"name": "verdict", "strict": True, "schema": schema},
    }


def preference_format(contestants: Sequence[str]) -> dict[str, Any]:
    """The `response_format` that asks which of two ids is better."""
    winner = {"type": "string", "enum": [*contestants, TIE]}
    schema = _object({"reasoning": {"type": "string"}, "winner": winner})
    return {
        "type": "json_schema",
        "json_schema": {"name": "preference", "strict": True, "schema": schema},
    }


def tied_verdict(call: PlannedCall) -> str:
    """A judge's answer by which all are alike: for a rehearsal, in which nobody is asked."""
    form = (call.params.response_format or {})["json_schema"]
    if form["name"] == "preference":
        return msgspec.json.encode({"reasoning": "", "winner": TIE}).decode()
    parts = form["schema"]["$defs"]["assessment"]["properties"]
    marks = dict.fromkeys(parts.get("criteria", {}).get("properties", {}), SCORE_MAX / 2)
    score = {"reasoning": "", "score": SCORE_MAX / 2} | ({"criteria": marks} if marks else {})
    ids = (call.meta or {})["contestants"]
    return msgspec.json.encode({"scores": dict.fromkeys(ids, score), "overall": ""}).decode()


def criterion_ids(criteria: Sequence[str]) -> list[str]:
    """The ids that criteria have in a question: vendors restrict what a property may be called."""
    return [f"c{place}" for place in range(1, len(criteria) + 1)]


def _object(properties: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def _request(
    material: Material, criteria: Sequence[str], seed: Sequence[str], pair: Sequence[str]
) -> tuple[str, dict[str, str]]:
    """The user message, and the contestants behind its ids."""
    draw = Draw(*seed, avoid=_all_text(material))
    contestants = {
        draw.unused("id", label, chars=ID_CHARS): label
        for label in pair or draw.order(material.answers)
    }
    request = (wording.PAIR_REQUEST if pair else wording.REQUEST).format(
        fence=draw.unused("fence"),
        document=one_line(_document(material, criteria, contestants)),
        ids=(" or " if pair else ", ").join(contestants),
    )
    return request, contestants


def _document(
    material: Material, criteria: Sequence[str], contestants: Mapping[str, str]
) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "task": [{"role": role} | text.under("text") for role, text in material.task]
    }
    if material.left_out:
        shown["task_messages_left_out"] = material.left_out
    if material.reference is not None:
        shown["reference"] = material.reference.under("text")
    if criteria:
        shown["criteria"] = [
            {"id": key, "criterion": criterion}
            for key, criterion in zip(criterion_ids(criteria), criteria, strict=True)
        ]
    shown["contestants"] = [
        {"id": key} | material.answers[label].under("answer") for key, label in contestants.items()
    ]
    return shown


def _messages(
    material: Material,
    criteria: Sequence[str],
    request: str,
    is_pair: bool,  # noqa: FBT001 - ours alone
) -> list[Message]:
    has_reference = material.reference is not None
    form = wording.FORM_CRITERIA if criteria else wording.FORM
    step = wording.PAIR_STEP_CRITERIA if is_pair else wording.STEP_CRITERIA
    system = (wording.PAIR_INSTRUCTIONS if is_pair else wording.INSTRUCTIONS).format(
        given=(wording.GIVEN_REFERENCE if has_reference else "")
        + (wording.GIVEN_CRITERIA if criteria else ""),
        steps=(wording.STEP_REFERENCE if has_reference else "") + (step if criteria else ""),
        form=wording.PAIR_FORM if is_pair else form,
    )
    shown: list[TextPart | ImagePart] = [TextPart(request), *material.images]
    return [Message("system", system), Message("user", shown if material.images else request)]


def _all_text(material: Material) -> str:
    """Every text that a contestant or a client wrote: none may hold an id or a fence of ours."""
    texts = [excerpt.text for _, excerpt in material.task]
    texts += [excerpt.text for excerpt in material.answers.values()]
    texts.append("" if material.reference is None else material.reference.text)
    return "\n".join(texts)
