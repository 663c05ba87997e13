"""What a reader of a comparison should keep in mind, and what it comes to in one sentence."""

from collections import Counter
from collections.abc import Callable, Iterator

import msgspec

from app.domain.plan import JudgeSpec, Plan
from app.domain.states import BATCH_CLOSED
from app.reports.against_views import AgainstRow, AgainstView
from app.reports.figures import chance

Name = Callable[[str], str]
_THIS, _OTHER = "this batch", "the other batch"
_FINDINGS = ("better", "worse", "equivalent", "unclear")


def notes_on(view: AgainstView, here: Plan, there: Plan) -> AgainstView:
    """The comparison with its notes."""
    notes = [*_about_jobs(view), *_about_labels(view), *_about_judging(here, there)]
    notes += [
        f"{_capital(name)} is {side.state}: these numbers will change."
        for name, side in ((_THIS, view.batch), (_OTHER, view.against))
        if side.state not in BATCH_CLOSED
    ]
    if view.batch.simulated or view.against.simulated:
        notes.append("Simulated models took part. What they answer, score and cost is made up.")
    return msgspec.structs.replace(view, notes=notes)


def _about_jobs(view: AgainstView) -> Iterator[str]:
    if not view.jobs:
        yield "The two have no custom_id in common, so there is nothing to compare."
        return
    for only, name in ((view.only_here, _THIS), (view.only_there, _OTHER)):
        if only:
            yield f"{_count(only, 'job')} of {name} cannot be paired and {_is(only)} in no number."
    if view.other_prompts:
        yield (
            f"On {view.other_prompts} of {_count(view.jobs, 'job')} the two ask something else: "
            "another prompt, reference or parameter. What differs there may be the prompt's doing."
        )


def _about_labels(view: AgainstView) -> Iterator[str]:
    for labels, name in ((view.labels_only_here, _THIS), (view.labels_only_there, _OTHER)):
        if labels:
            yield f"Only {name} has {', '.join(labels)}: compared with nobody."
    for row in view.rows:
        if row.label != row.against_label:
            yield (
                f"{row.label} is compared with {row.against_label}: each is the only one that has "
                "no namesake in the other batch."
            )


def _about_judging(here: Plan, there: Plan) -> Iterator[str]:
    mine, other = _ways(here), _ways(there)
    if not mine or not other:
        if mine or other:
            yield "Only one of the two was judged, so there are no scores to compare."
        return
    if mine != other:
        yield (
            "The two were judged differently, by other judges, criteria or checks: their scores are "
            "on different scales, and a difference may be the judges' doing."
        )
    if any(one.scoring == "pairwise" for one in (*mine, *other)):
        yield (
            "Pairwise, a score is a share of comparisons with the others of the same batch. Where "
            "those others changed, a difference says nothing of how good an answer is."
        )


def _ways(plan: Plan) -> list[JudgeSpec]:
    found: list[JudgeSpec] = []
    for one in plan.all:
        if one.judge is not None and one.judge not in found:
            found.append(one.judge)
    return found


def against_in_one_sentence(view: AgainstView, name: Name = str) -> str:
    """What a reader with no time takes away; `name` writes a label as it is to be shown."""
    told = [row for row in view.rows if row.test is not None]
    if not view.jobs or not view.rows:
        return "There is nothing to compare."
    if not told:
        return f"{_count(view.jobs, 'job')} in both, and no scores to compare."
    if len(told) > 1:
        found: Counter[str] = Counter(row.test.finding for row in told if row.test is not None)
        counted = [f"{found[word]} {_is(found[word])} {word}" for word in _FINDINGS if found[word]]
        changed = [row for row in told if row.test and row.test.finding in ("better", "worse")]
        parts = [
            f"Of {len(told)} models {_listed(counted)}",
            *(_moved(row, name) for row in changed),
        ]
        return f"{'; '.join(parts)}."
    return f"{_whole(told[0], name)}."


def _moved(row: AgainstRow, name: Name) -> str:
    test = row.test
    if test is None or test.difference is None:
        return name(row.label)
    return f"{name(row.label)} by {test.difference:+.2f} points (p = {chance(test.p_adjusted)})"


def _whole(row: AgainstRow, name: Name) -> str:
    test = row.test
    was = "before" if row.label == row.against_label else name(row.against_label)
    if test is None or test.difference is None:
        return f"{name(row.label)} cannot be compared"
    told = f"on {_count(test.prompts, 'shared prompt')}"
    if test.finding == "equivalent":
        return f"{name(row.label)} is as good as {was}, within {test.margin:g} points, {told}"
    if test.finding == "unclear":
        return (
            f"{name(row.label)} scores {abs(test.difference):.2f} points "
            f"{'more' if test.difference >= 0 else 'less'} than {was}, {told}, which may be chance"
        )
    return (
        f"{name(row.label)} is {test.finding} than {was}, by {abs(test.difference):.2f} points "
        f"{told} (p = {chance(test.p_adjusted)})"
    )


def _listed(parts: list[str]) -> str:
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"


def _is(number: int) -> str:
    return "is" if number == 1 else "are"


def _capital(words: str) -> str:
    return words[0].upper() + words[1:]


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
