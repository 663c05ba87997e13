"""The prompts that all sides are given: about 500 bytes a line."""

import json
from collections.abc import Iterator

_WORDS = "Say in a few plain words what the sea is like at night when nobody is there to see it. "
_CHARS = 440


def prompt_of(number: int) -> str:
    """One prompt, unlike all others."""
    return f"{number}: {_WORDS * 6}"[:_CHARS]


def lines_of(count: int) -> Iterator[bytes]:
    """The lines of an input file, each with its line feed."""
    for number in range(count):
        line = {
            "custom_id": f"line-{number}",
            "messages": [{"role": "user", "content": prompt_of(number)}],
        }
        yield json.dumps(line).encode() + b"\n"
