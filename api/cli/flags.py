"""The flags by which `submit` and `estimate` say what a batch is: one list for both.

A dataclass has a field for each flag, with what the help says of it; a command that takes a
`Flags` is given all of them.
"""

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from functools import wraps
from typing import Annotated, Any, get_type_hints

import typer


def _flag(text: str, *names: str) -> Any:
    return typer.Option(*names, help=text)


@dataclass(frozen=True, slots=True)
class Flags:
    """What the flags say about a batch; None and empty ones say nothing."""

    name: Annotated[str | None, _flag("What to call it.")] = None
    mode: Annotated[
        str | None,
        _flag("chat, compare, judge, blend or mesh; by default what the rest implies."),
    ] = None
    model: Annotated[
        list[str] | None,
        _flag('provider/model, or JSON: {"model": …, "params": {…}, "label": …}; may be repeated.'),
    ] = None
    params: Annotated[str | None, _flag("Parameters of every call, as JSON.")] = None
    repeats: Annotated[int | None, _flag("Answers per prompt and model.")] = None
    judge: Annotated[list[str] | None, _flag("A model that judges; as --model.")] = None
    criteria: Annotated[list[str] | None, _flag("What answers are judged by; may be repeated.")] = (
        None
    )
    allow_self: Annotated[bool, _flag("Let a model judge its own answers.", "--allow-self")] = False
    scoring: Annotated[
        str | None, _flag("rubric: each answer from 0 to 10; pairwise: two by two, both orders.")
    ] = None
    pairs: Annotated[int | None, _flag("Compare so many pairs of a job, drawn; else all.")] = None
    check: Annotated[
        list[str] | None,
        _flag("exact, contains, regex, number, json_schema; kind=value, or JSON. Repeatable."),
    ] = None
    reference: Annotated[
        list[str] | None, _flag("What the answer to each --prompt should be, in their order.")
    ] = None
    escalate_below: Annotated[
        float | None, _flag("Ask the other judges only where the lead is under so many points.")
    ] = None
    canary: Annotated[
        bool, _flag("Show judges an answer that only asks for the win.", "--canary")
    ] = False
    blend: Annotated[
        str | None,
        _flag("Fuse the answers: consensus, council, best_of, chain, moa or self_moa."),
    ] = None
    synthesizer: Annotated[str | None, _flag("Who fuses them; as --model.")] = None
    layers: Annotated[int | None, _flag("How often moa has its models answer, 1 to 3.")] = None
    samples: Annotated[int | None, _flag("How many answers self_moa blends, 2 to 8.")] = None
    min_candidates: Annotated[
        int | None, _flag("Blend where at least so many models answered.")
    ] = None
    contribution: Annotated[
        bool,
        _flag("Blend again without each answer, to see what it brought.", "--contribution"),
    ] = False
    fallback: Annotated[
        list[str] | None,
        _flag("A model to try where the first does not answer; as --model."),
    ] = None
    mesh_strategy: Annotated[
        str | None,
        _flag("The order in which they are tried: rate-limit, latency, cost, round-robin."),
    ] = None
    budget: Annotated[float | None, _flag("Spend no more than these dollars.")] = None
    unpriced: Annotated[
        str | None, _flag("allow: run models of unknown cost under a budget; or refuse.")
    ] = None
    sample: Annotated[int | None, _flag("Run so many jobs, then wait for `overnight resume`.")] = (
        None
    )
    stop_if_failed: Annotated[
        int | None, _flag("End it if more than these % of the first 50 calls fail.")
    ] = None
    cache: Annotated[
        bool, _flag("Use the answers of identical earlier calls again.", "--cache")
    ] = False
    at_most_once: Annotated[
        bool, _flag("Never resend what may have been answered.", "--at-most-once")
    ] = False
    not_before: Annotated[str | None, _flag("Begin then: a moment with its time zone.")] = None
    deadline: Annotated[
        str | None, _flag("A span such as 24h, a moment, or none; 24h by default.")
    ] = None
    priority: Annotated[int | None, _flag("0 to 9 within the account; 5 by default.")] = None
    webhook: Annotated[str | None, _flag("A URL to tell when it is done.")] = None
    metadata: Annotated[list[str] | None, _flag("Of your own, as key=value; may be repeated.")] = (
        None
    )


def takes_flags(command: Callable[..., None]) -> Callable[..., None]:
    """The command, whose `flags` are given one by one on the command line."""
    hints = get_type_hints(Flags, include_extras=True)
    names = [one.name for one in fields(Flags)]

    @wraps(command)
    def called(**given: Any) -> None:
        flags = Flags(**{name: given.pop(name) for name in names})
        command(flags=flags, **given)

    own = inspect.signature(command, eval_str=True).parameters
    taken = [
        inspect.Parameter(
            one.name,
            inspect.Parameter.KEYWORD_ONLY,
            default=one.default,
            annotation=hints[one.name],
        )
        for one in fields(Flags)
    ]
    rest = [parameter for name, parameter in own.items() if name != "flags"]
    positional = [one for one in rest if one.kind is not inspect.Parameter.KEYWORD_ONLY]
    keywords = [one for one in rest if one.kind is inspect.Parameter.KEYWORD_ONLY]
    parameters: Sequence[inspect.Parameter] = [*positional, *taken, *keywords]
    called.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    called.__annotations__ = {one.name: one.annotation for one in parameters} | {"return": None}
    return called
