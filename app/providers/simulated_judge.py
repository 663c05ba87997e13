"""The simulated judge: scores answers by the quality that the simulator planted in them.

It takes what `modes/judge_prompt` asks: a response format of the name `verdict`, or
`preference` where two are compared, and in the last
user message one line of JSON between a line `<<data …` and a line `<<end …`. Nothing else of a
prompt is read, so an answer cannot talk to it.
"""

import json
import random
import re
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

VERDICT, PREFERENCE = "verdict", "preference"
#: Two answers whose qualities, as the judge sees them, are this close are a tie.
TIE_WITHIN = 0.25
SCORE_MAX = 10.0
#: What an answer is worth that nobody planted a quality in: a real model's, say.
UNMARKED_QUALITY = 5.0
#: What an answer without a mark says that only gives the judge orders: it is worth nothing.
_ORDERS = "ignore all previous instructions"
_MARK = re.compile(r"\[simulated quality (\d+\.\d+)\]")


def mark(quality: float) -> str:
    """How an answer carries its quality."""
    return f"[simulated quality {quality:.2f}]"


def quality_in(answer: str) -> float:
    """The quality that an answer carries; an empty answer has none."""
    if not answer.strip():
        return 0.0
    found = _MARK.search(answer)
    if found is None:
        return 0.0 if _ORDERS in answer.lower() else UNMARKED_QUALITY
    return float(found[1])


def judge(
    messages: Sequence[Mapping[str, Any]],
    response_format: Mapping[str, Any] | None,
    draw: random.Random,
    noise: float,
) -> str | None:
    """The verdict a judge's prompt asks for, as JSON; None if it is no such prompt."""
    asked = _format_name(response_format)
    if asked not in (VERDICT, PREFERENCE):
        return None
    try:
        document = _document_in(messages)
        if asked == PREFERENCE:
            return _preference(document["contestants"], draw, noise)
        criteria = [entry["id"] for entry in document.get("criteria", [])]
        scores = {
            entry["id"]: _assessment(quality_in(entry["answer"]), criteria, draw, noise)
            for entry in document["contestants"]
        }
    except (ValueError, LookupError, TypeError, AttributeError):
        return None  # it asks for something else that goes by the same name
    overall = "This verdict is simulated: it goes by the planted qualities, with noise."
    return json.dumps({"scores": scores, "overall": overall})


def _preference(contestants: Any, draw: random.Random, noise: float) -> str:
    """Which of two seems better, each seen with noise."""
    one, other = ((entry["id"], quality_in(entry["answer"])) for entry in contestants)
    lead = draw.gauss(one[1], noise) - draw.gauss(other[1], noise)
    winner = "tie" if abs(lead) < TIE_WITHIN else (one if lead > 0 else other)[0]
    reasoning = f"The planted qualities are {one[1]:.2f} and {other[1]:.2f}."
    return json.dumps({"reasoning": reasoning, "winner": winner})


def _assessment(
    quality: float, criteria: Sequence[str], draw: random.Random, noise: float
) -> dict[str, Any]:
    assessment: dict[str, Any] = {"reasoning": f"The planted quality is {quality:.2f}."}
    if criteria:
        assessment["criteria"] = {key: _score(quality, draw, noise) for key in criteria}
    assessment["score"] = _score(quality, draw, noise)
    return assessment


def _score(quality: float, draw: random.Random, noise: float) -> float:
    """In half points, as verdicts are asked for."""
    return round(2 * min(max(draw.gauss(quality, noise), 0.0), SCORE_MAX)) / 2


def _format_name(response_format: Mapping[str, Any] | None) -> str | None:
    schema = (response_format or {}).get("json_schema")
    return schema.get("name") if isinstance(schema, dict) else None


def _document_in(messages: Sequence[Mapping[str, Any]]) -> Any:
    for message in reversed(messages):
        if message.get("role") == "user":
            for fence, line in pairwise(_text_of(message.get("content")).split("\n")):
                if fence.startswith("<<data "):
                    return json.loads(line)
    return None


def _text_of(content: Any) -> str:
    if isinstance(content, list):
        return "\n".join(
            part["text"] for part in content if isinstance(part, dict) and "text" in part
        )
    return content if isinstance(content, str) else ""
