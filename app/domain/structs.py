"""Structs that threads may decode."""

from typing import Any

import msgspec

_ready: set[type[msgspec.Struct]] = set()


def ready_structs() -> None:
    """Have msgspec look into every struct that there is by now, while there is one thread.

    It does so when a struct is first decoded, and where two threads do that at once the second
    may find it half looked into, which is the end of the process (seen with msgspec 0.22).
    """
    left: list[Any] = msgspec.Struct.__subclasses__()
    while left:
        struct = left.pop()
        left += struct.__subclasses__()
        if struct not in _ready:
            msgspec.json.Decoder(struct)
            _ready.add(struct)
