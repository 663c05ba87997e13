"""Deterministic checks of an answer: declared, never code."""

from typing import Any, Literal

import msgspec

CheckKind = Literal["exact", "contains", "regex", "json_schema", "number"]


class Check(msgspec.Struct, frozen=True, omit_defaults=True):
    """One check, under a name of its own; without a `value`, the job's reference answer is it.

    - `exact`: the answer is the value, but for white space at its ends
    - `contains`: the value is somewhere in the answer
    - `regex`: the pattern is found in the answer, within a time limit
    - `json_schema`: the answer is JSON, perhaps in a code fence, that the schema allows
    - `number`: the last number in the answer is the value, give or take `tolerance`

    `ignore_case` is for the first three.
    """

    kind: CheckKind
    name: str
    value: Any = None
    ignore_case: bool = False
    tolerance: float = 0.0
